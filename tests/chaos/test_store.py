"""The recordings' store (a real S3 server) fails in each way: nothing waits for it or is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import installed, s3
from tests.support.processes import Running, until
from tests.support.visiting import grant, ssh

HELD = 8.0
"""Seconds for which something stays broken."""
SOON = 150.0
"""Seconds until a recording is stored: it is tried at most a minute apart."""


@pytest.fixture(scope="module")
def stored() -> Iterator[Running]:
    """An installation whose recordings go to a bucket, by a wire."""
    server = s3.server()
    keys = {
        "JIT_RECORDINGS_S3_BUCKET": s3.bucket(lock=False),
        "JIT_RECORDINGS_S3_ENDPOINT": server.endpoint,
        "JIT_RECORDINGS_S3_REGION": "us-east-1",
        "JIT_RECORDINGS_S3_ACCESS_KEY": server.access_key,
        "JIT_RECORDINGS_S3_SECRET_KEY": server.secret_key,
    }
    yield from installed.shared(wired="yes", **keys)


@pytest.fixture
def jit(stored: Running) -> Iterator[Running]:
    stored.clear()
    yield stored
    stored.wire("store", "through")


def said_in(jit: Running, held: str, words: str, folder: Path) -> bytes:
    with ssh(jit, held, f"echo {words}", folder) as person:
        assert person.stdout is not None
        return person.stdout.read()


def session_of(jit: Running, held: str, number: int) -> dict[str, Any]:
    """Return the how-manieth session of a grant, the oldest first."""
    rows = jit.rows(
        "SELECT id FROM jit_sessions_accesssession WHERE grant_id = %s ORDER BY id", held
    )
    found: dict[str, Any] = jit.udo.get(f"sessions/{rows[number][0]}/").json()
    return found


@pytest.mark.chaos
class TestStore:
    @pytest.mark.parametrize("how", ["killed", "refused", "frozen", "moved", "slow"])
    def test_that_failed_costs_no_recording_and_delays_no_end(
        self, jit: Running, tmp_path: Path, how: str, record_property: Callable[[str, object], None]
    ) -> None:
        held = grant(jit)
        assert b"before" in said_in(jit, held, "before", tmp_path)
        if how == "killed":
            s3.server().kill()
        else:
            jit.wire("store", how)
        try:
            assert b"meanwhile" in said_in(jit, held, "meanwhile", tmp_path)
            over = time.monotonic() + HELD
            until(lambda: time.monotonic() > over)
            if how in {"killed", "refused", "frozen"}:
                assert session_of(jit, held, 1)["state"] == "CLOSED"
            began = time.monotonic()
            jit.give_back(held)
            ended = time.monotonic() - began
        finally:
            if how == "killed":
                s3.server().start()
            elif how != "moved":
                jit.wire("store", "through")
        began = time.monotonic()
        for number in range(2):
            sealed = until(
                lambda: session_of(jit, held, number),  # noqa: B023 -- asked at once
                lambda session: session["state"] == "SEALED",
                seconds=SOON,
            )
            assert sealed["recording"]["standing"] == "whole", sealed["recording"]
        took = time.monotonic() - began
        cast = jit.udo.get(f"sessions/{sealed['id']}/recording/").text
        assert "meanwhile" in cast
        record_property("healed", f"ended {ended:.1f} s, stored {took:.1f} s after")
