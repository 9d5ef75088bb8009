"""What `make run` prints when all is up, and the demo people's one-time codes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

from jit.ops.embedded.installation import Place

_PERIOD = 30


def welcome(
    place: Place, *, slack: bool = False, host: str = "", databases: Path | None = None
) -> str:
    """Return the text for the terminal: what this is, where, and who may sign in."""
    lines = [
        "",
        "  This is the EMBEDDED mode: for trying out and development, on this machine only.",
        "  Production brings its own PostgreSQL and Valkey: see the README.",
        "",
        f"  Open    {place.url}",
        f"  Data    {place.data}  (logs in logs/)",
        *([f"          databases in {databases}: they can't run as root"] if databases else []),
        *([f"  web-1   {host}"] if host else []),
        "  Stop    Ctrl-C; the next `make run` goes on with this data.",
        "",
    ]
    people = demo(place.data).get("people", {})
    if people:
        lines += ["  Who may sign in    password", ""]
        lines += [f"  {name:<18} {person.get('password', '')}" for name, person in people.items()]
        lines += [
            "",
            "  The six digits of the second factor:  make code PERSON=rita",
            f"  All of it, with API tokens:           {place.data / 'demo.json'}",
            "",
        ]
    if slack:
        lines += [
            "  The demo Slack: everybody's account is linked. Ask for a role as rita, then",
            "    what ada reads in Slack           make slack-demo PERSON=ada",
            "    she presses Approve               make slack-demo PERSON=ada PRESS=approve",
            "    rita presses Done                 make slack-demo PERSON=rita PRESS=done",
            "",
        ]
    return "\n".join(lines) + "\n"


def demo(data: Path) -> dict[str, Any]:
    """Return what the demo wrote down, or nothing if there is no demo."""
    try:
        known: dict[str, Any] = json.loads((data / "demo.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known


def code(secret: str, *, at: float) -> str:
    """Return the six digits of the base32 `secret` at the Unix time `at` (RFC 6238, SHA-1)."""
    key = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(at) // _PERIOD), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


def main(person: str) -> int:
    """Print the person's digits of this moment and how long they hold."""
    data = Path(os.environ.get("JIT_DATA") or ".data")
    people = demo(data).get("people", {})
    if not people:
        sys.stderr.write(f"no demo in {data}: start it with `make run`, or set JIT_DATA\n")
        return 1
    if person not in people:
        sys.stderr.write(f"no demo person {person!r}; there are: {', '.join(people)}\n")
        return 1
    now = time.time()
    left = _PERIOD - int(now) % _PERIOD
    sys.stdout.write(f"{code(people[person]['totp_secret'], at=now)}   (for {left} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "rita"))
