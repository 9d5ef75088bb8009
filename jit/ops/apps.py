from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "jit.ops"
    label = "ops"

    def ready(self) -> None:
        """Set logging up before anything is served, and register the checks."""
        from jit.ops import logging  # noqa: PLC0415 -- settings and apps must be ready

        logging.configure()
        import_module("jit.ops.checks")
        import_module("jit.ops.database_checks")
