"""The websockets of the pages."""

from __future__ import annotations

from django.urls import path

from jit.web.consumers import Live

urlpatterns = [path("ws/live/", Live.as_asgi())]
