"""The gateway is killed in the middle of output; what was seen until a second before is kept."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Running, until
from tests.support.visiting import grant, ssh

KILLS = int(os.environ.get("TEST_KILLS", "20"))
MOST_LOST = 1.0
"""Seconds of output that may be missing between the recording's end and what was seen."""
_TIMES = re.compile(r"at (\d+\.\d+)")
TICKS = "while :; do date '+at %s.%N'; sleep 0.02; done"


def recorded(jit: Running, session_id: str) -> tuple[float, dict[str, Any]]:
    """Return the last time in the sealed recording of a session, and how the recording is."""
    session = until(
        lambda: jit.udo.get(f"sessions/{session_id}/").json(),
        lambda seen: seen["state"] == "SEALED",
        seconds=60,
    )
    cast = jit.udo.get(f"sessions/{session_id}/recording/").text
    output = "".join(
        event[2] for event in map(json.loads, cast.splitlines()[1:]) if event[1] == "o"
    )
    return float(_TIMES.findall(output)[-1]), session


@pytest.mark.chaos
class TestKill:
    def test_loses_a_second_at_most_and_says_that_the_end_is_missing(
        self, jit: Running, tmp_path: Path
    ):
        grant_id = grant(jit)
        try:
            lost = [self.lost_by_a_kill(jit, grant_id, tmp_path) for _ in range(KILLS)]
        finally:
            # Ends on the host what a killed gateway could not: a loop would go on for ever.
            jit.give_back(grant_id)
        assert max(lost) <= MOST_LOST, sorted(lost)

    @staticmethod
    def lost_by_a_kill(jit: Running, grant_id: str, folder: Path) -> float:
        """Return the seconds of output that a person saw and the recording has not."""
        person = ssh(jit, grant_id, TICKS, folder)
        assert person.stdout is not None
        fd = person.stdout.fileno()
        seen = b""
        long_enough = random.randrange(2_000, 12_000)
        while len(seen) < long_enough:
            piece = os.read(fd, 4096)
            assert piece, seen.decode()
            seen += piece
        (session,) = jit.udo.get("sessions/", state="LIVE").json()["items"]
        jit.kill("gateway")
        while piece := os.read(fd, 4096):
            seen += piece
        person.wait(20)
        person.stdout.close()
        jit.start("gateway")
        last, found = recorded(jit, session["id"])
        assert found["closed_because"] == "lost"
        assert found["recording"]["standing"] == "incomplete", found["recording"]
        assert found["recording"]["problems"]
        return float(_TIMES.findall(seen.decode())[-1]) - last
