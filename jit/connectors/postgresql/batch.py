"""Grants on their way out: what is known of each, and how their connections end."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jit.connectors.base import Ambiguous, ConnectorError, GrantSpec, Revoked, Unreachable
from jit.connectors.postgresql import look
from jit.connectors.postgresql.wire import Busy, Wire

AT_ONCE = 250
"""Roles in one transaction: few enough that a slow target answers within a call's timeout."""
LONGEST_WAIT = 1.0
"""Seconds for which a role that somebody else is writing is waited for, when it is its turn."""
_PAUSE = 0.01


@dataclass
class Ending:
    """One grant on its way out, and what is known of it."""

    spec: GrantSpec
    found: look.Found | None = None
    role: str = ""
    since_xid: str = ""
    removed: bool = False
    answer: Revoked | ConnectorError | None = None
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.external_name

    @property
    def oid(self) -> int | None:
        return self.found.oid if self.found else None

    @property
    def oids(self) -> set[int]:
        return {self.found.oid} if self.found else set()

    def fail(self, error: ConnectorError) -> None:
        """Answer with `error`, and with what was reached before it."""
        self.answer = type(error)(error.detail, evidence={**self.evidence, **error.evidence})


def end_connections(wire: Wire, oids: Collection[int]) -> dict[int, int]:
    """End every backend of these roles and wait until none is left; return how many each had.

    Raises Busy if one is still there after the call's timeout (a backend in the kernel's hands
    ends no sooner).
    """
    ended: dict[int, int] = {}
    if not oids:
        return ended
    until = time.monotonic() + wire.context.timeout_seconds
    told = look.terminate(wire, oids)
    for oid in told:
        ended[oid] = ended.get(oid, 0) + 1
    left = look.connections(wire, oids) if told else {}
    while left:
        if time.monotonic() > until:
            raise Busy(f"{sum(left.values())} connections were told to end and have not")
        time.sleep(_PAUSE)
        look.terminate(wire, oids)
        left = look.connections(wire, oids)
    return ended


def chunks(endings: Sequence[Ending]) -> Iterator[Sequence[Ending]]:
    for start in range(0, len(endings), AT_ONCE):
        yield endings[start : start + AT_ONCE]


def is_the_targets(error: ConnectorError) -> bool:
    """Whether trying the others now is useless: the target, not the grant, is the trouble."""
    return isinstance(error, (Unreachable, Ambiguous)) and not isinstance(error, Busy)


def note(
    ending: Ending,
    row: dict[str, Any] | None,
    found: look.Found | None,
    *,
    mode: str,
    version: int,
    at_once: bool = False,
) -> None:
    """Keep what was found of the role (None: it was not there), and that it is useless now, or
    `at_once` that it is removed.
    """
    ending.evidence |= {"mode": mode, "server_version": version, "was_there": row is not None}
    ending.removed = at_once
    if row is None or found is None:
        return
    ending.found = found
    ending.role = str(found.note.get("role", ""))
    ending.since_xid = str(found.note.get("since_xid", ""))
    ending.evidence |= {
        "removed_at_once" if at_once else "neutralised": True,
        "memberships_removed": list(row["member_of"]),
    }
