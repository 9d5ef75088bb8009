"""The addresses of the pages of access sessions."""

from __future__ import annotations

from django.urls import path

from sessions.views import (
    ending,
    flags,
    holds,
    keys,
    listing,
    one,
    panels,
    playback,
    terminal,
)

app_name = "sessions"
urlpatterns = [
    path("sessions/", listing.listing, name="list"),
    path("sessions/<uuid:session_id>/", one.one, name="session"),
    path("sessions/<uuid:session_id>/head/", one.head, name="head"),
    path("sessions/<uuid:session_id>/stage/", one.stage, name="stage"),
    path("sessions/<uuid:session_id>/terminate/", ending.terminate, name="terminate"),
    path("sessions/<uuid:session_id>/cast/", playback.cast, name="cast"),
    path("sessions/<uuid:session_id>/download/<slug:form>/", playback.download, name="download"),
    path("sessions/<uuid:session_id>/transcript/", playback.transcript, name="transcript"),
    path("sessions/<uuid:session_id>/commands/", playback.commands, name="commands"),
    path("sessions/<uuid:session_id>/verify/", playback.verify, name="verify"),
    path("sessions/<uuid:session_id>/flags/", flags.flag, name="flag"),
    path("sessions/<uuid:session_id>/flags/<uuid:flag_id>/", flags.settle, name="flag-settle"),
    path("sessions/<uuid:session_id>/hold/", holds.hold, name="hold"),
    path("sessions/<uuid:session_id>/hold/lift/", holds.lift, name="hold-lift"),
    path("requests/<uuid:request_id>/sessions/", panels.of_request, name="of-request"),
    path("grants/<uuid:grant_id>/sessions/", panels.of_grant, name="of-grant"),
    path("grants/<uuid:grant_id>/terminal/", terminal.terminal, name="terminal"),
    path("grants/<uuid:grant_id>/terminal/bar/", terminal.bar, name="terminal-bar"),
    path("account/ssh-keys/", keys.show, name="keys"),
    path("account/ssh-keys/new/", keys.add, name="key-new"),
    path("account/ssh-keys/<uuid:key_id>/remove/", keys.remove, name="key-remove"),
]
