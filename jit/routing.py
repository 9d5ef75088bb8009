"""Which consumer answers which websocket path."""

from __future__ import annotations

from channels.routing import URLRouter
from django.utils.module_loading import import_string

websockets = import_string("jit.identity.sockets.authenticated")(
    URLRouter(
        [
            *import_string("jit.web.routing.urlpatterns"),
            *import_string("sessions.routing.urlpatterns"),
        ]
    )
)
