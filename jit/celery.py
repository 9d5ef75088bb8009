"""The Celery application; tasks are known by name and found in the apps' `tasks` modules."""

from __future__ import annotations

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jit.settings")
SWITCH_SECONDS = 0.001
app = Celery("jit")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _keep_our_logging(**_kwargs: Any) -> None:
    """Celery leaves logging alone when somebody listens; ours is set up by `jit.ops`."""


@worker_init.connect
@beat_init.connect
def _refuse_or_warm_up(**_kwargs: Any) -> None:
    """Refuse to work on a misconfiguration; else read the policy before the first task does.

    Celery logs what its signals' receivers raise, and works on: only SystemExit ends it. What is
    needed is named by strings, since Django is not set up when this module is imported.
    """
    from django.utils.module_loading import import_string  # noqa: PLC0415

    import_string("jit.ops.database_watch.wait_for_database")()
    try:
        import_string("jit.ops.checks.refuse_to_start_if_misconfigured")()
    except Exception as refused:
        raise SystemExit(f"{type(refused).__name__}: {refused}") from refused
    import_string("jit.ops.database_watch.begin")()
    import_string("jit.ops.start.warm_up")()
    # A thread that comes back from a database waits up to so long for one that computes: in a
    # storm of endings each has some twenty answers to come back from in a batch.
    sys.setswitchinterval(SWITCH_SECONDS)
