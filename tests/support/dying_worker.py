"""A worker of the tests' database that kills itself in the middle of a revocation.

    python -m tests.support.dying_worker DATABASE MOMENT STEP

It revokes what is due, and is gone as by `kill -9` before or after (MOMENT) it made the call STEP
to the target.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def revoke_and_die(moment: str, step: str) -> None:
    """Run it on the database of the running test; raises AssertionError unless it died there."""
    from django.db import connection

    done = subprocess.run(
        [sys.executable, "-m", __name__, connection.settings_dict["NAME"], moment, step],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def _main(database: str, moment: str, step: str) -> None:
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    settings.DATABASES["default"]["OPTIONS"]["assume_role"] = "jit_app"
    django.setup()

    from jit.connectors import registry
    from jit.connectors.base import Connector
    from jit.workflow import revoke

    def die(passed: str, when: Any) -> None:
        if (passed, when) == (step, moment):
            os.kill(os.getpid(), signal.SIGKILL)

    real = registry.connector_for

    def doomed(kind: str, config: Mapping[str, Any]) -> Connector:
        connector = real(kind, config)
        return connector.within(replace(connector.context, interfere=die))

    registry.connector_for = doomed
    revoke.revoke_due()


if __name__ == "__main__":
    _main(*sys.argv[1:])
