from __future__ import annotations

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    """Labelled apart: Django's own cookie sessions are called `sessions` already."""

    name = "sessions"
    label = "jit_sessions"
