"""The addresses of the pages of access sessions."""

from __future__ import annotations

from django.urls import path

from sessions.views import ending, keys, listing, one, panels

app_name = "sessions"
urlpatterns = [
    path("sessions/", listing.listing, name="list"),
    path("sessions/<uuid:session_id>/", one.one, name="session"),
    path("sessions/<uuid:session_id>/head/", one.head, name="head"),
    path("sessions/<uuid:session_id>/terminate/", ending.terminate, name="terminate"),
    path("requests/<uuid:request_id>/sessions/", panels.of_request, name="of-request"),
    path("grants/<uuid:grant_id>/sessions/", panels.of_grant, name="of-grant"),
    path("account/ssh-keys/", keys.show, name="keys"),
    path("account/ssh-keys/new/", keys.add, name="key-new"),
    path("account/ssh-keys/<uuid:key_id>/remove/", keys.remove, name="key-remove"),
]
