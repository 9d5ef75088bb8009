"""Somebody without a password: the two lines of the grant's page, typed into a shell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.processes import Running

PSQL = "/usr/lib/postgresql/15/bin"


def shell(line: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={"PATH": f"{PSQL}:{os.environ['PATH']}", "HOME": str(folder), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestCertificate:
    def test_opens_the_database_again_and_again_until_the_grant_is_given_back(
        self, jit: Running, tmp_path: Path
    ):
        _, grant_id = jit.active()
        shown = jit.credential(grant_id)
        got = shell(shown["get_certificate"], tmp_path, JIT_TOKEN=jit.rita.token)
        assert got.returncode == 0, got.stderr
        assert (tmp_path / "jit.key").stat().st_mode & 0o077 == 0
        line = shown["psql_with_certificate"] + " -XAtwc 'SELECT session_user'"
        for _ in range(2):
            done = shell(line, tmp_path)
            assert done.stdout == f"{shown['user']}\n", done.stderr
        jit.give_back(grant_id)
        refused = shell(line, tmp_path)
        assert refused.returncode != 0
        assert refused.stdout == ""

    def test_is_not_for_somebody_elses_grant(self, jit: Running, tmp_path: Path):
        _, grant_id = jit.active()
        shown = jit.credential(grant_id)
        got = shell(shown["get_certificate"], tmp_path, JIT_TOKEN=jit.ada.token)
        assert got.returncode != 0
        assert "403" in got.stderr or "404" in got.stderr
        jit.give_back(grant_id)
