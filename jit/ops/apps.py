from __future__ import annotations

from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "jit.ops"
    label = "ops"

    def ready(self) -> None:
        """Set logging up before anything is served."""
        from jit.ops import logging  # noqa: PLC0415 -- settings and apps must be ready

        logging.configure()
