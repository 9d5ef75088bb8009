from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    """Labelled apart: Django's own cookie sessions are called `sessions` already."""

    name = "sessions"
    label = "jit_sessions"

    def ready(self) -> None:
        """Register the wing's checks."""
        import_module("sessions.recording.checks")
