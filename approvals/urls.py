"""The approver's addresses."""

from __future__ import annotations

from django.urls import include, path

from approvals import views

app_name = "approvals"
urlpatterns = [
    path("inbox/", views.inbox, name="inbox"),
    path("requests/<uuid:request_id>/chain/", views.chain, name="chain"),
    path("requests/<uuid:request_id>/decide/", views.decide, name="decide"),
    path("", include("approvals.slack.urls")),
]
