"""Revoking many grants at once: quiet roles go at once, others step by step; all are proven."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from jit.connectors.base import (
    Ambiguous,
    ConnectorError,
    Context,
    GrantSpec,
    InvalidConfig,
    Refused,
    Residue,
    Revoked,
)
from jit.connectors.postgresql import batch, look, means, quiet, replicas, traces, writes
from jit.connectors.postgresql.batch import Ending
from jit.connectors.postgresql.config import EXTERNAL_NAME, PostgreSQLConfig, PostgreSQLRole
from jit.connectors.postgresql.wire import Busy, StillNeeded, Wire, Wires
from jit.kernel import clock


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
        self._phase(self._remove_quiet)
        self._phase(self._neutralise, but_removed=True)
        self._phase(self._cut)
        self._phase(self._cut_on_replicas)
        self._phase(self._trace)
        self._phase(self._drop, but_removed=True)
        self._phase(self._prove)
        lost = Ambiguous("the revocation did not come to its end")
        return [self._all[spec.external_name].answer or lost for spec in self._specs]

    def _pending(self) -> list[Ending]:
        return [ending for ending in self._all.values() if ending.answer is None]

    def _phase(self, act: Callable[[Sequence[Ending]], None], *, but_removed: bool = False) -> None:
        pending = [one for one in self._pending() if not (but_removed and one.removed)]
        for chunk in batch.chunks(pending):
            try:
                act(chunk)
            except ConnectorError as error:
                if batch.is_the_targets(error):
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
            if batch.is_the_targets(its_own):
                self._fail_all(its_own)
                return False
            ending.fail(its_own)
        return True

    def _fail_all(self, error: ConnectorError) -> None:
        for ending in self._pending():
            ending.fail(error)

    def _remove_quiet(self, chunk: Sequence[Ending]) -> None:
        """Drop at once what nothing hinders; the long way looks into everything else."""
        wait = min(batch.LONGEST_WAIT, self._context.timeout_seconds / 2)
        try:
            with self._wires.borrow(self._context) as wire:
                if wire.version >= means.SINCE_DIRECT:
                    quiet.remove(wire, chunk, lock_seconds=wait)
        except ConnectorError as error:
            if batch.is_the_targets(error):
                raise

    def _neutralise(self, chunk: Sequence[Ending]) -> None:
        """Make the roles useless in one transaction: no log-in, no password, no time left, no
        membership. Those that somebody else is writing at this moment are waited for one by one.
        """
        busy: list[Ending] = []
        with self._wires.borrow(self._context) as wire:
            names = [ending.name for ending in chunk]
            lock = look.try_locks(names) if len(names) > 1 else look.wait_for_lock(names[0])
            wait = min(batch.LONGEST_WAIT, self._context.timeout_seconds / 2)
            rows = wire.begin("lock", lock, lock_seconds=wait)
            taken = {row["name"] for row in rows if row["locked"]}
            busy = [ending for ending in chunk if ending.name not in taken]
            ours = [ending for ending in chunk if ending.name in taken]
            there = {row["name"]: row for row in wire.ask("look", look.many_roles(taken))}
            found = {name: look.Found.of(row) for name, row in there.items()}
            members: dict[str, list[str]] = {}
            for name, row in there.items():
                for role in row["given"]:
                    members.setdefault(role, []).append(name)
            by = writes.means_for(wire.version)
            by.neutralise(wire, sorted(taken), list(found.values()), members)
            wire.commit("commit neutral")
            version, mode = wire.version, by.label
        for ending in ours:
            name = ending.name
            batch.note(ending, there.get(name), found.get(name), mode=mode, version=version)
        for ending in busy:
            if not self._alone(self._neutralise, ending, Busy("busy"), only=False):
                return

    def _cut(self, chunk: Sequence[Ending]) -> None:
        with self._wires.borrow(self._context) as wire:
            ended = batch.end_connections(wire, {e.oid for e in chunk if e.oid is not None})
        for ending in chunk:
            ending.evidence["connections_cut"] = ended.get(ending.oid or 0, 0)

    def _cut_on_replicas(self, chunk: Sequence[Ending]) -> None:
        replicas.cut(self._wires, self._context, chunk)

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
            by = writes.means_for(wire.version)
            needed = look.dependents(wire, {e.oid for e in there if e.oid is not None})
            clean = [ending for ending in there if ending.oid not in needed]
            if clean:
                self._drop_clean(wire, by, clean)
        for ending in there:
            if ending.found and ending.found.oid in needed:
                self._tidy(by, ending, ending.found, needed[ending.found.oid])

    def _drop_clean(self, wire: Wire, by: means.Means, clean: Sequence[Ending]) -> None:
        try:
            by.drop(wire, [ending.found for ending in clean if ending.found])
        except StillNeeded as needed:
            if len(clean) > 1:
                raise
            self._leave(clean[0], needed)

    def _tidy(
        self,
        by: means.Means,
        ending: Ending,
        found: look.Found,
        places: Collection[str | None],
    ) -> None:
        """Hand what the role owns to the escrow role, take away what it was given, and drop it;
        if that fails, it stays as it is: neutralised, which is proven again.
        """
        databases = sorted(place for place in places if place) or [self._config.database]
        patient = replace(self._context, timeout_seconds=self._context.timeout_seconds * 6)
        try:
            with self._wires.borrow(self._context) as wire:
                by.adopt(wire, found)
            for database in databases:
                with self._wires.borrow(patient, database=database) as wire:
                    here = look.owned_here(wire, found.oid)
                    owned = ending.evidence.setdefault("reassigned", [])
                    owned += [f"{what} in {database}" for what in here]
                    by.release(wire, ending.name, self._config.escrow_role)
            with self._wires.borrow(self._context) as wire:
                by.drop(wire, [found])
        except ConnectorError as error:
            if batch.is_the_targets(error) and not isinstance(error, Ambiguous):
                with self._wires.borrow(self._context) as wire:  # Is it that one database only?
                    wire.ask("look", "SELECT 1")
            self._leave(ending, error)
            with (
                contextlib.suppress(ConnectorError),  # The answer is given; this only tidies up.
                self._wires.borrow(self._context) as wire,
            ):
                by.disown(wire, found)

    def _leave(self, ending: Ending, why: ConnectorError) -> None:
        """Answer that something is left, with the proof that it is harmless."""
        with self._wires.borrow(self._context) as wire:
            now, there, counted = look.what_is_left(wire, [ending.name], [ending.oid or 0])
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
        kept = set(ending.evidence["member_of"])
        gone = [each for each in ending.evidence.get("memberships_removed", ()) if each not in kept]
        ending.evidence["memberships_removed"] = gone
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
                batch.end_connections(wire, counted)
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
