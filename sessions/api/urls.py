"""The REST addresses of access sessions and SSH keys."""

from __future__ import annotations

from django.urls import path

from sessions.api import holds, recordings, sessions, ssh_keys

urlpatterns = [
    path("sessions/", sessions.Sessions.as_view(), name="api-sessions"),
    path("sessions/<uuid:session_id>/", sessions.SessionDetail.as_view(), name="api-session"),
    path(
        "sessions/<uuid:session_id>/recording/",
        recordings.Recording.as_view(),
        name="api-session-recording",
    ),
    path(
        "sessions/<uuid:session_id>/transcript/",
        recordings.Transcript.as_view(),
        name="api-session-transcript",
    ),
    path(
        "sessions/<uuid:session_id>/terminate/",
        sessions.Terminate.as_view(),
        name="api-session-terminate",
    ),
    path("sessions/<uuid:session_id>/hold/", holds.Hold.as_view(), name="api-session-hold"),
    path(
        "grants/<uuid:grant_id>/certificate/",
        ssh_keys.GrantCertificate.as_view(),
        name="api-grant-certificate",
    ),
    path("ssh-keys/", ssh_keys.SshKeys.as_view(), name="api-ssh-keys"),
    path("ssh-keys/<uuid:key_id>/", ssh_keys.SshKeyDetail.as_view(), name="api-ssh-key"),
]
