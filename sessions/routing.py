"""The websockets of access sessions."""

from __future__ import annotations

from django.urls import path

from sessions.consumers.terminal import Terminal
from sessions.consumers.watch import Watch

urlpatterns = [
    path("ws/terminal/<uuid:grant_id>/", Terminal.as_asgi()),
    path("ws/sessions/<uuid:session_id>/watch/", Watch.as_asgi()),
]
