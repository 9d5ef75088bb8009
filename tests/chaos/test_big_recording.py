"""A session with very much output keeps nobody else's recording from being sealed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Running, until
from tests.support.visiting import grant, ssh

BIG = "head -c 45000000 /dev/urandom | base64"
"""60 MB of lines that nobody would read, each of them unlike all others."""
USUAL = 30.0
"""Seconds within which a small recording is sealed when nothing else goes on."""


def output_of(person: subprocess.Popen[bytes]) -> int:
    """Return how many bytes somebody's terminal showed until it closed."""
    assert person.stdout is not None
    shown = 0
    while piece := person.stdout.read(1 << 20):
        shown += len(piece)
    person.wait(20)
    person.stdout.close()
    return shown


def recordings(jit: Running, held: str) -> dict[str, tuple[Any, ...]]:
    """Return (state, bytes, whether its text is whole) of each session of a grant."""
    rows = jit.rows(
        "SELECT s.id::text, s.state, r.size, r.text_done FROM jit_sessions_accesssession s"
        " JOIN jit_sessions_recording r ON r.session_id = s.id WHERE s.grant_id = %s",
        held,
    )
    return {row[0]: row[1:] for row in rows}


@pytest.mark.chaos
class TestBigRecording:
    def test_keeps_no_small_one_from_being_sealed(self, jit: Running, tmp_path: Path) -> None:
        held = grant(jit)
        try:
            assert output_of(ssh(jit, held, BIG, tmp_path)) > 60_000_000
            (big,) = recordings(jit, held)
            for number in range(3):
                assert output_of(ssh(jit, held, f"echo small {number}", tmp_path))
            small = until(
                lambda: {id_: row for id_, row in recordings(jit, held).items() if id_ != big},
                lambda rows: len(rows) == 3 and all(row[0] == "SEALED" for row in rows.values()),
                seconds=USUAL,
            )
            assert len(small) == 3
            assert not recordings(jit, held)[big][2], "it was indexed by then: make it bigger"
            until(
                lambda: recordings(jit, held)[big],
                lambda row: row[0] == "SEALED" and row[2],
                seconds=300,
            )
        finally:
            jit.give_back(held)
