"""Every address of the product; the wings' are tied in by string."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("api/v1/", include("jit.api.urls")),
    path("api/v1/", include("approvals.api")),
    path("api/v1/", include("sessions.api.urls")),
    path("", include("jit.ops.urls")),
    path("", include("jit.catalog.urls")),
    path("", include("jit.oncall.urls")),
    path("", include("approvals.urls")),
    path("", include("sessions.urls")),
    path("", include("jit.web.urls")),
]
handler400 = "jit.web.views.errors.bad_request"
handler403 = "jit.web.views.errors.forbidden"
handler404 = "jit.web.views.errors.not_found"
handler500 = "jit.web.views.errors.server_error"
