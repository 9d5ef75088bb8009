"""Grants on their way out: what is known of each, and how their connections end."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jit.connectors import evidence
from jit.connectors.base import (
    Ambiguous,
    ConnectorError,
    GrantSpec,
    Residue,
    Revoked,
    Unreachable,
)
from jit.connectors.postgresql import look
from jit.connectors.postgresql.look import Backend
from jit.connectors.postgresql.wire import Busy, Wire
from jit.kernel import clock

AT_ONCE = 250
"""Roles in one transaction: few enough that a slow target answers within a call's timeout."""
LONGEST_WAIT = 1.0
"""Seconds for which a statement waits for a lock that somebody else holds."""
_PAUSE = 0.01


@dataclass
class Ending:
    """One grant on its way out, and what is known of it.

    `given` is what our account made the role a member of, `member_of` all that it is; `told` has
    the processes of its connections that were told to end, `left` those that were still there.
    `removed` says that it was seen absent, or dropped; `buried` that nobody gives it any more;
    `elsewhere` that a standby may still let it in.
    """

    spec: GrantSpec
    found: look.Found | None = None
    given: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()
    told: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)
    removed: bool = False
    buried: bool = False
    elsewhere: bool = False
    hindrances: list[ConnectorError] = field(default_factory=list)
    answer: Revoked | ConnectorError | None = None
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.external_name

    @property
    def role(self) -> str:
        """What the person became."""
        return str(self._known("role"))

    @property
    def since_xid(self) -> str:
        """The transaction that gave the grant."""
        return str(self._known("since_xid"))

    @property
    def oids(self) -> set[int]:
        """The role's number, also of one that an earlier attempt dropped."""
        if self.found:
            return {self.found.oid}
        known = self.spec.earlier.get("role_number")
        return {known} if isinstance(known, int) else set()

    @property
    def neutralised(self) -> bool:
        return self.evidence.get("neutralised") is True

    def _known(self, key: str) -> Any:
        return self.found.note.get(key, "") if self.found else self.spec.earlier.get(key, "")

    def note(self, row: Mapping[str, Any] | None, *, mode: str, version: int) -> None:
        """Keep what was found of the role (None: it was not there)."""
        self.evidence |= {"mode": mode, "server_version": version, "was_there": row is not None}
        self.removed = row is None
        if row is not None:
            self.found = look.Found.of(row)
            self.given, self.member_of = tuple(row["given"]), tuple(row["member_of"])

    def hinder(self, error: ConnectorError) -> None:
        """Keep that a step failed: the others are taken all the same."""
        self.hindrances.append(error)
        self.evidence = evidence.merged(self.evidence, error.evidence)

    def fail(self, error: ConnectorError) -> None:
        """Answer with `error`, and with what was reached before it."""
        self.answer = type(error)(error.detail, evidence={**self.so_far(), **error.evidence})

    def so_far(self) -> dict[str, Any]:
        """Return the evidence, should this attempt come to no end: the next one then learns from
        it what it can no longer see.
        """
        known: dict[str, Any] = {}
        if self.found:
            known = {
                "role": self.role,
                "since_xid": self.since_xid,
                "role_number": self.found.oid,
                "memberships_removed": list(self.member_of),
            }
        if self.told:
            known["connections_cut"] = len(self.told - self.left)
        return {**known, **self.evidence}

    def conclude(self, now: dt.datetime, left: look.Left | None, backends: Collection[int]) -> None:
        """Answer by what is seen on the target at the end, whatever went wrong before."""
        self.left = set(backends)
        self.evidence = {
            "observed_at": clock.rfc3339(now),
            "roles_found": int(left is not None),
            "connections_found": len(self.left),
            **self.evidence,
            "connections_cut": len(self.told - self.left),
        }
        if self.found:
            still = left.member_of if left else ()
            self.evidence["memberships_removed"] = [m for m in self.member_of if m not in still]
        if left is None and not self.left and self.buried and not self.elsewhere:
            self.answer = Revoked(absent=True, evidence=self.evidence)
            return
        self.answer = self._unproven(left)
        self.answer.evidence = self.so_far()

    def _unproven(self, left: look.Left | None) -> ConnectorError:
        said = "; ".join(dict.fromkeys(error.detail for error in self.hindrances))
        if left is None:
            if self.left:
                return Busy(said or f"{len(self.left)} connections were told to end and have not")
            return Busy(said or f"{self.name} may be being given at this moment")
        was_useless = self.neutralised
        harmless = left.found.neutralised and not (self.left or self.elsewhere)
        self.evidence |= {"neutralised": harmless, "member_of": list(left.member_of)}
        if self.left or self.elsewhere:
            return Busy(said or f"{len(self.left)} connections were told to end and have not")
        if harmless:
            return Residue(f"{self.name} can no longer be used but could not be removed: {said}")
        if was_useless or not self.hindrances:
            return Ambiguous(f"{self.name} is there again: it was given meanwhile")
        return type(self.hindrances[0])(f"{self.name} may still be of use: {said}")


def terminate(wire: Wire, endings: Sequence[Ending]) -> list[Backend]:
    """Tell every connection of these roles to end, and return them. Waits for nobody."""
    found = look.terminate(wire, *_whom(endings))
    for ending, pids in _by_ending(endings, found):
        ending.told |= pids
    return found


def cut(wire: Wire, endings: Sequence[Ending], *, seconds: float) -> None:
    """End every connection of these roles, and wait until none is left, for so long at most: a
    backend in the kernel's hands ends no sooner.
    """
    until = time.monotonic() + seconds
    left = terminate(wire, endings)
    while left and time.monotonic() < until:
        time.sleep(_PAUSE)
        left = terminate(wire, endings)
    for ending, pids in _by_ending(endings, left):
        ending.left = pids


def backends(wire: Wire, endings: Sequence[Ending]) -> dict[str, set[int]]:
    """Return the processes of the connections of each, by the ending's name."""
    found = look.backends(wire, *_whom(endings))
    return {ending.name: pids for ending, pids in _by_ending(endings, found)}


def _whom(endings: Sequence[Ending]) -> tuple[set[str], set[int]]:
    return {e.name for e in endings}, {oid for e in endings for oid in e.oids}


def _by_ending(
    endings: Sequence[Ending], found: Sequence[Backend]
) -> Iterator[tuple[Ending, set[int]]]:
    by_name: dict[str, set[int]] = {}
    by_oid: dict[int, set[int]] = {}
    for backend in found:
        by_name.setdefault(backend.name, set()).add(backend.pid)
        by_oid.setdefault(backend.oid, set()).add(backend.pid)
    for ending in endings:
        pids = set(by_name.get(ending.name, ()))
        for oid in ending.oids:
            pids |= by_oid.get(oid, set())
        yield ending, pids


def chunks(endings: Sequence[Ending]) -> Iterator[Sequence[Ending]]:
    for start in range(0, len(endings), AT_ONCE):
        yield endings[start : start + AT_ONCE]


def is_the_targets(error: ConnectorError) -> bool:
    """Whether trying the others now is useless: the target, not the grant, is the trouble."""
    return isinstance(error, (Unreachable, Ambiguous)) and not isinstance(error, Busy)
