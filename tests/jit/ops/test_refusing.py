"""Processes that must not start, started for real."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import servers


class TestRefuseToStart:
    @pytest.mark.parametrize(
        "program",
        [
            ["-m", "celery", "-A", "jit.celery", "worker", "-P", "solo"],
            ["-m", "celery", "-A", "jit.celery", "beat"],
            ["-c", "import jit.asgi"],
        ],
        ids=["worker", "beat", "web"],
    )
    def test_a_weak_key_ends_the_process(self, program, tmp_path, settings) -> None:
        """Celery logs what a receiver of worker_init raises, and starts all the same."""
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "jit.settings",
            "DATABASE_URL": servers.ensure()["database"].replace("jit_owner", "jit_app"),
            "JIT_SECRET_KEY": "hunter2",
            "PYTHONPATH": str(settings.BASE_DIR),
        }
        ran = subprocess.run(
            [sys.executable, *program],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode != 0
        assert "jit.E001" in ran.stderr
        assert "hunter2" not in ran.stderr + ran.stdout
