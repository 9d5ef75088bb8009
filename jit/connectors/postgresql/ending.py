"""Revoking many grants at once: neutralise, cut, remove, and prove, for all of them in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jit.connectors.base import (
    Ambiguous,
    ConnectorError,
    Context,
    GrantSpec,
    InvalidConfig,
    Refused,
    Residue,
    Revoked,
    Unreachable,
)
from jit.connectors.postgresql import look, means, traces
from jit.connectors.postgresql.config import EXTERNAL_NAME, PostgreSQLConfig, PostgreSQLRole
from jit.connectors.postgresql.wire import Busy, StillNeeded, Wire, Wires
from jit.kernel import clock

AT_ONCE = 200
"""Roles in one transaction: few enough that a slow target answers within a call's timeout."""
_LONGEST_WAIT = 1.0
"""Seconds for which a role that somebody else is writing is waited for, when it is its turn."""
_PAUSE = 0.01


@dataclass
class Ending:
    """One grant on its way out, and what is known of it."""

    spec: GrantSpec
    oid: int | None = None
    role: str = ""
    since_xid: str = ""
    answer: Revoked | ConnectorError | None = None
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.external_name

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


class Endings:
    """A batch. Each phase is done for all before the next begins, so that nobody keeps access
    because others are still being tidied up. Where a chunk fails its members are tried one by
    one; where the target itself fails, all that is not done yet answers so.
    """

    def __init__(
        self,
        config: PostgreSQLConfig,
        wires: Wires,
        context: Context,
        specs: Sequence[GrantSpec],
    ) -> None:
        self._config = config
        self._wires = wires
        self._context = context
        self._specs = specs
        self._all = {spec.external_name: Ending(spec) for spec in specs}

    def run(self) -> list[Revoked | ConnectorError]:
        for ending in self._all.values():
            if not EXTERNAL_NAME.fullmatch(ending.name):
                ending.fail(Refused(f"{ending.name!r} is no name of ours; nothing was touched"))
        for phase in (self._neutralise, self._cut, self._trace, self._drop, self._prove):
            self._phase(phase)
        lost = Ambiguous("the revocation did not come to its end")
        return [self._all[spec.external_name].answer or lost for spec in self._specs]

    def _pending(self) -> list[Ending]:
        return [ending for ending in self._all.values() if ending.answer is None]

    def _phase(self, act: Callable[[Sequence[Ending]], None]) -> None:
        for chunk in _chunks(self._pending()):
            try:
                act(chunk)
            except ConnectorError as error:
                if _is_the_targets(error):
                    self._fail_all(error)
                    return
                for ending in chunk:
                    if ending.answer is not None:
                        continue
                    if not self._alone(act, ending, error, only=len(chunk) == 1):
                        return

    def _alone(
        self,
        act: Callable[[Sequence[Ending]], None],
        ending: Ending,
        error: ConnectorError,
        *,
        only: bool,
    ) -> bool:
        """Do one ending of a chunk that failed; return False if the target itself fails."""
        if only:
            ending.fail(error)
            return True
        try:
            act([ending])
        except ConnectorError as its_own:
            if _is_the_targets(its_own):
                self._fail_all(its_own)
                return False
            ending.fail(its_own)
        return True

    def _fail_all(self, error: ConnectorError) -> None:
        for ending in self._pending():
            ending.fail(error)

    def _neutralise(self, chunk: Sequence[Ending]) -> None:
        """Make the roles useless in one transaction: no log-in, no password, no time left, no
        membership. Those that somebody else is writing at this moment are waited for one by one.
        """
        busy: list[Ending] = []
        with self._wires.borrow(self._context) as wire:
            names = [ending.name for ending in chunk]
            lock = look.try_locks(names) if len(names) > 1 else look.wait_for_lock(names[0])
            wait = min(_LONGEST_WAIT, self._context.timeout_seconds / 2)
            rows = wire.begin("lock", lock, lock_seconds=wait)
            taken = {row["name"] for row in rows if row["locked"]}
            busy = [ending for ending in chunk if ending.name not in taken]
            ours = [ending for ending in chunk if ending.name in taken]
            there = {row["name"]: row for row in wire.ask("look", look.many_roles(taken))}
            members: dict[str, list[str]] = {}
            for name, row in there.items():
                for role in row["given"]:
                    members.setdefault(role, []).append(name)
            by = means.means_for(wire.version)
            by.neutralise(wire, sorted(taken), sorted(there), members)
            wire.commit("commit neutral")
            version, mode = wire.version, by.label
        for ending in ours:
            _note(ending, there.get(ending.name), mode=mode, version=version)
        for ending in busy:
            if not self._alone(self._neutralise, ending, Busy("busy"), only=False):
                return

    def _cut(self, chunk: Sequence[Ending]) -> None:
        with self._wires.borrow(self._context) as wire:
            ended = end_connections(wire, {e.oid for e in chunk if e.oid is not None})
        for ending in chunk:
            ending.evidence["connections_cut"] = ended.get(ending.oid or 0, 0)

    def _trace(self, chunk: Sequence[Ending]) -> None:
        """Look for what was left behind; that this can't be looked at stops no revocation."""
        by_database: dict[str, list[Ending]] = {}
        for ending in chunk:
            if ending.since_xid:
                for database in self._databases(ending):
                    by_database.setdefault(database, []).append(ending)
        for database, endings in sorted(by_database.items()):
            periods = [
                traces.Period(
                    name=ending.name,
                    owners=frozenset({ending.name, ending.role}),
                    since_xid=ending.since_xid,
                )
                for ending in endings
            ]
            try:
                with self._wires.borrow(self._context, database=database) as wire:
                    found = traces.left_behind(wire, periods)
            except ConnectorError as unseen:
                for ending in endings:
                    ending.evidence.setdefault("not_looked_in", {})[database] = unseen.detail
                continue
            for ending in endings:
                ending.evidence.setdefault("looked_in", []).append(database)
                ending.evidence.setdefault("suspicious", []).extend(found.get(ending.name, ()))

    def _databases(self, ending: Ending) -> list[str]:
        try:
            named = PostgreSQLRole.parse(ending.spec.role_config).databases
        except InvalidConfig:  # A catalogue that was broken since must not keep a role alive.
            named = ()
        return list(dict.fromkeys([*named, self._config.database]))

    def _drop(self, chunk: Sequence[Ending]) -> None:
        there = [ending for ending in chunk if ending.oid is not None]
        if not there:
            return
        with self._wires.borrow(self._context) as wire:
            by = means.means_for(wire.version)
            needed = look.dependents(wire, {e.oid for e in there if e.oid is not None})
            clean = [ending for ending in there if ending.oid not in needed]
            if clean:
                self._drop_clean(wire, by, clean)
        for ending in there:
            if ending.oid in needed:
                self._tidy(by, ending, needed[ending.oid or 0])

    def _drop_clean(self, wire: Wire, by: means.Means, clean: Sequence[Ending]) -> None:
        try:
            by.drop(wire, [ending.name for ending in clean])
        except StillNeeded as needed:
            if len(clean) > 1:
                raise
            self._leave(clean[0], needed)

    def _tidy(self, by: means.Means, ending: Ending, places: Collection[str | None]) -> None:
        """Hand what the role owns to the escrow role, take away what it was given, and drop it;
        if that fails, it stays as it is: neutralised, which is proven again.
        """
        databases = sorted(place for place in places if place) or [self._config.database]
        try:
            with self._wires.borrow(self._context) as wire:
                by.adopt(wire, ending.name)
            for database in databases:
                with self._wires.borrow(self._context, database=database) as wire:
                    here = look.owned_here(wire, _oid(ending))
                    here = look.owned_here(wire, _oid(ending))
                    owned = ending.evidence.setdefault("reassigned", [])
                    owned += [f"{what} in {database}" for what in here]
                    by.release(wire, ending.name, self._config.escrow_role)
            with self._wires.borrow(self._context) as wire:
                by.drop(wire, [ending.name])
        except ConnectorError as error:
            if _is_the_targets(error) and not isinstance(error, Ambiguous):
                with self._wires.borrow(self._context) as wire:  # Is it that one database only?
                    wire.ask("look", "SELECT 1")
            self._leave(ending, error)
            with self._wires.borrow(self._context) as wire:
                by.disown(wire, ending.name)

    def _leave(self, ending: Ending, why: ConnectorError) -> None:
        """Answer that something is left, with the proof that it is harmless."""
        with self._wires.borrow(self._context) as wire:
            now, there, counted = look.what_is_left(wire, [ending.name], [_oid(ending)])
            rows = wire.ask("look", look.many_roles([ending.name]))
        found = there.get(ending.name)
        harmless = (found is None or found.neutralised) and not counted
        ending.evidence |= {
            "observed_at": clock.rfc3339(now),
            "roles_found": len(there),
            "connections_found": sum(counted.values()),
            "neutralised": harmless,
            "member_of": rows[0]["member_of"] if rows else [],
        }
        if not harmless:
            ending.fail(Ambiguous(f"{ending.name} came back while it was removed: {why.detail}"))
            return
        ending.fail(
            Residue(
                f"{ending.name} can no longer be used but could not be removed: {why.detail}",
                evidence=why.evidence,
            )
        )

    def _prove(self, chunk: Sequence[Ending]) -> None:
        names = [ending.name for ending in chunk]
        oids = {ending.oid for ending in chunk if ending.oid is not None}
        with self._wires.borrow(self._context) as wire:
            now, there, counted = look.what_is_left(wire, names, oids)
            if counted:  # It was being let in while we closed the door.
                end_connections(wire, counted)
                now, there, counted = look.what_is_left(wire, names, oids)
        for ending in chunk:
            if ending.name in there:
                ending.fail(Ambiguous(f"{ending.name} is there again: it was given meanwhile"))
                continue
            ending.answer = Revoked(
                absent=True,
                evidence={
                    "observed_at": clock.rfc3339(now),
                    "roles_found": 0,
                    "connections_found": counted.get(ending.oid or 0, 0),
                    **ending.evidence,
                },
            )


def _chunks(endings: Sequence[Ending]) -> Iterator[Sequence[Ending]]:
    for start in range(0, len(endings), AT_ONCE):
        yield endings[start : start + AT_ONCE]


def _is_the_targets(error: ConnectorError) -> bool:
    """Whether trying the others now is useless: the target, not the grant, is the trouble."""
    return isinstance(error, (Unreachable, Ambiguous)) and not isinstance(error, Busy)


def _oid(ending: Ending) -> int:
    return ending.oid or 0


def _note(ending: Ending, row: dict[str, Any] | None, *, mode: str, version: int) -> None:
    ending.evidence |= {"mode": mode, "server_version": version, "was_there": row is not None}
    if row is None:
        return
    found = look.Found.of(row)
    ending.oid = found.oid
    ending.role = str(found.note.get("role", ""))
    ending.since_xid = str(found.note.get("since_xid", ""))
    ending.evidence |= {"neutralised": True, "memberships_removed": list(row["given"])}
