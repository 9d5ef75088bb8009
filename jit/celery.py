"""The Celery application; tasks are known by name and found in the apps' `tasks` modules."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jit.settings")
app = Celery("jit")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _keep_our_logging(**_kwargs: Any) -> None:
    """Celery leaves logging alone when somebody listens; ours is set up by `jit.ops`."""
