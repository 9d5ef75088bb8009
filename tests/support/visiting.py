"""rita on her way through the SSH gateway, by the real ssh with a one-use password."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.processes import Running, until

SEV1 = "OPS-4"
ROLE = "web-1-operator"


def grant(jit: Running, role: str = ROLE, approvers: tuple[str, ...] = ()) -> str:
    """Return the id of rita's ACTIVE grant on web-1."""
    asked = jit.rita.ask(role, SEV1, duration_seconds=3000)
    assert asked.status_code == 201, asked.text
    for name in approvers:
        said = jit.person(name).decide(asked.json()["id"])
        assert said.status_code == 201, said.text
    found = until(
        lambda: jit.rita.request(asked.json()["id"])["grant"],
        lambda seen: bool(seen) and seen["state"] == "ACTIVE",
    )
    return str(found["id"])


def ssh(
    jit: Running, grant_id: str, command: str, folder: Path, *, says: str = "ERROR"
) -> subprocess.Popen[bytes]:
    """Start rita's ssh with a one-use password; its output is for the caller to read. What the
    gateway answers to a session that it does not open, ssh `says` at INFO.
    """
    shown = jit.credential(grant_id)
    asker = folder / "asker"
    asker.write_text('#!/bin/sh\necho "$JIT_TEST_PASSWORD"\n', encoding="ascii")
    asker.chmod(0o700)
    options = {
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "no",
        "PubkeyAuthentication": "no",
        "NumberOfPasswordPrompts": "1",
        "LogLevel": says,
    }
    told = [f"-o{name}={value}" for name, value in options.items()]
    where = f"{shown['user']}@{shown['host']}"
    return subprocess.Popen(
        ["ssh", "-F", "none", *told, "-p", shown["port"], where, command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={
            "PATH": os.environ["PATH"],
            "SSH_ASKPASS": str(asker),
            "SSH_ASKPASS_REQUIRE": "force",
            "JIT_TEST_PASSWORD": shown["password"],
        },
    )
