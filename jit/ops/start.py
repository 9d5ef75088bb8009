"""What a process does before its first request or task, so that nobody waits for it then."""

from __future__ import annotations

import logging
import threading

from django.db import connection

from jit.policy import queries as policy

log = logging.getLogger(__name__)


def _compile_policy() -> None:
    try:
        policy.active_bundle()
    except Exception as failure:  # noqa: BLE001 -- whoever asks the policy first hears of it too
        log.info("the policy is not warm yet: %s", failure)
    finally:
        connection.close()


def warm_up() -> None:
    """Compile the policy in force in the background: it takes some tenths of a second."""
    threading.Thread(target=_compile_policy, name="warm-up", daemon=True).start()
