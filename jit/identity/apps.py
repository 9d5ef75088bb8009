from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "jit.identity"
    label = "identity"

    def ready(self) -> None:
        """Make the ways of proving oneself known to the OpenAPI generator."""
        import_module("jit.identity.openapi")
