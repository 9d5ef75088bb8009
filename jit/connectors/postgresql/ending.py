"""Revoking many grants at once: open connections end first, then the roles; all are proven."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from jit.connectors import evidence
from jit.connectors.base import (
    Ambiguous,
    ConnectorError,
    Context,
    GrantSpec,
    InvalidConfig,
    Refused,
    Revoked,
)
from jit.connectors.postgresql import (
    batch,
    blockers,
    handover,
    look,
    means,
    quiet,
    replicas,
    traces,
    writes,
)
from jit.connectors.postgresql.batch import Ending
from jit.connectors.postgresql.config import EXTERNAL_NAME, PostgreSQLConfig, PostgreSQLRole
from jit.connectors.postgresql.wire import Busy, Wire, Wires

_AT_FIRST = 0.3
"""Seconds that are waited for connections to end before anything else is done."""
_SUSPICION = 0.1
"""Seconds after which a statement that was held up before is asked who holds it up."""


class Endings:
    """A batch. Each phase is done for all before the next begins, so that nobody keeps access
    because others are still being tidied up. Connections are told to end before any lock is asked
    for, whatever comes of the rest.

    A step that fails for one hinders no other step and no other grant: where a chunk fails its
    members are tried one by one, and what is seen at the end is the answer. Where the target itself
    fails, all that is not answered yet answers so.
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
        self._names = False
        self._proven_there: set[str] = set()
        self._wait = min(batch.LONGEST_WAIT, context.timeout_seconds / 2)

    def run(self) -> list[Revoked | ConnectorError]:
        for ending in self._all.values():
            if not EXTERNAL_NAME.fullmatch(ending.name):
                ending.fail(Refused(f"{ending.name!r} is no name of ours; nothing was touched"))
        self._phase(self._terminate)
        self._phase(self._bury)
        self._phase(self._remove_quiet, lambda one: not one.told)
        self._phase(self._neutralise, lambda one: not one.removed)
        self._phase(self._cut)
        self._phase(self._withdraw, lambda one: not (one.removed or one.neutralised))
        self._phase(self._cut_on_replicas)
        self._phase(self._trace)
        self._phase(self._drop, lambda one: not one.removed)
        self._phase(self._cut_on_replicas, self._is_unproven_there)
        self._phase(self._prove, lambda one: one.removed)
        self._phase(self._tidy)
        self._phase(self._withdraw, lambda one: not one.removed)
        self._phase(self._cut_on_replicas, self._is_unproven_there)
        self._phase(self._prove)
        lost = Ambiguous("the revocation did not come to its end")
        return [self._all[spec.external_name].answer or lost for spec in self._specs]

    def _phase(
        self,
        act: Callable[[Sequence[Ending]], None],
        which: Callable[[Ending], bool] = lambda _one: True,
    ) -> None:
        pending = [one for one in self._all.values() if one.answer is None and which(one)]
        for chunk in batch.chunks(pending):
            try:
                act(chunk)
            except ConnectorError as error:
                if batch.is_the_targets(error):
                    self._fail_all(error)
                    return
                if len(chunk) == 1 and not isinstance(error, Busy):
                    chunk[0].hinder(error)
                elif not self._each_alone(act, chunk):
                    return

    def _each_alone(self, act: Callable[[Sequence[Ending]], None], chunk: Sequence[Ending]) -> bool:
        """Act on each of a chunk that failed, and name who holds it up; return False if the target
        itself fails.
        """
        for ending in chunk:
            try:
                self._names = True
                act([ending])
            except ConnectorError as error:
                if batch.is_the_targets(error):
                    self._fail_all(error)
                    return False
                ending.hinder(error)
            finally:
                self._names = False
        return True

    def _fail_all(self, error: ConnectorError) -> None:
        for ending in self._all.values():
            if ending.answer is None:
                ending.fail(error)

    def _naming(self, wire: Wire, *, suspect: bool = False) -> AbstractContextManager[None]:
        """Name who holds up what is done for one that was held up already, or is `suspect`."""
        if not (suspect or self._names):
            return contextlib.nullcontext()
        return blockers.named(self._wires, self._context, wire, after=_SUSPICION)

    def _remember(self, endings: Sequence[Ending]) -> None:
        """Commit what is known of these, which the next step takes away from sight."""
        known = {one.name: one.so_far() for one in endings if one.found or one.told}
        self._context.remember(known)

    # --- Power away --------------------------------------------------------------------

    def _terminate(self, chunk: Sequence[Ending]) -> None:
        """Tell all connections to end, which no lock can hinder, and give them a moment: what they
        hold is let go with them.
        """
        with self._wires.borrow(self._context) as wire:
            if batch.terminate(wire, chunk):
                self._remember(chunk)
                batch.cut(wire, chunk, seconds=min(_AT_FIRST, self._wait))

    def _bury(self, chunk: Sequence[Ending]) -> None:
        with self._wires.borrow(self._context) as wire, self._naming(wire):
            by = writes.means_for(wire.version)
            by.bury(wire, [ending.name for ending in chunk], lock_seconds=self._wait)
        for ending in chunk:
            ending.buried = True

    def _remove_quiet(self, chunk: Sequence[Ending]) -> None:
        """Drop at once what nothing hinders; the long way looks into everything else."""
        try:
            with self._wires.borrow(self._context) as wire:
                if wire.version >= means.SINCE_DIRECT:
                    quiet.remove(wire, chunk, lock_seconds=self._wait, remember=self._remember)
        except ConnectorError as error:
            if batch.is_the_targets(error):
                raise

    def _neutralise(self, chunk: Sequence[Ending]) -> None:
        """Make the roles useless: no log-in, no password, no time left."""
        with self._wires.borrow(self._context) as wire:
            by = writes.means_for(wire.version)
            names = [ending.name for ending in chunk]
            there = {row["name"]: row for row in wire.ask("look", look.many_roles(names))}
            for ending in chunk:
                ending.note(there.get(ending.name), mode=by.label, version=wire.version)
            useful = [one.found for one in chunk if one.found]
            if useful:
                with self._naming(wire):
                    by.neutralise(wire, useful, lock_seconds=self._wait)
        for ending in chunk:
            if ending.found:
                ending.evidence["neutralised"] = True

    def _cut(self, chunk: Sequence[Ending]) -> None:
        with self._wires.borrow(self._context) as wire:
            batch.cut(wire, chunk, seconds=self._context.timeout_seconds)

    def _withdraw(self, chunk: Sequence[Ending]) -> None:
        """Take away the memberships of those that can't be made useless, or not be removed; all
        others lose them with the role.
        """
        members: dict[str, list[str]] = {}
        for ending in chunk:
            for role in ending.given:
                members.setdefault(role, []).append(ending.name)
        if not members and not any(ending.found for ending in chunk):
            return
        with self._wires.borrow(self._context) as wire, self._naming(wire):
            by = writes.means_for(wire.version)
            by.withdraw(wire, [e.name for e in chunk if e.found], members, lock_seconds=self._wait)

    # --- What is left ------------------------------------------------------------------

    def _cut_on_replicas(self, chunk: Sequence[Ending]) -> None:
        shut = {ending.name for ending in chunk if ending.removed or ending.neutralised}
        replicas.cut(self._wires, self._context, chunk)
        self._proven_there |= shut

    def _is_unproven_there(self, ending: Ending) -> bool:
        """Whether nobody can log in any more, but could when the standbys were looked at."""
        return (ending.removed or ending.neutralised) and ending.name not in self._proven_there

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
                    role=ending.role,
                    since_xid=ending.since_xid,
                    databases=self._databases(ending),
                    numbers=ending.oids,
                )
                for ending in endings
            ]
            try:
                with self._wires.borrow(self._context, database=database) as wire:
                    cluster = database == self._config.database
                    found = traces.left_behind(wire, periods, cluster=cluster)
            except ConnectorError as unseen:
                for ending in endings:
                    ending.evidence.setdefault("not_looked_in", {})[database] = unseen.detail
                continue
            for ending in endings:
                ending.evidence.setdefault("looked_in", []).append(database)
                for key, texts in {"suspicious": [], **found.get(ending.name, {})}.items():
                    ending.evidence.setdefault(key, []).extend(texts)

    def _databases(self, ending: Ending) -> list[str]:
        try:
            named = PostgreSQLRole.parse(ending.spec.role_config).databases
        except InvalidConfig:  # A catalogue that was broken since must not keep a role alive.
            named = ()
        return list(dict.fromkeys([*named, self._config.database]))

    def _drop(self, chunk: Sequence[Ending]) -> None:
        """Drop those that nothing depends on."""
        if not any(ending.found for ending in chunk):
            return
        self._remember(chunk)
        with self._wires.borrow(self._context) as wire:
            by = writes.means_for(wire.version)
            needed = look.dependents(wire, {oid for one in chunk for oid in one.oids})
            clean = [one for one in chunk if one.found and one.found.oid not in needed]
            roles = [one.found for one in clean if one.found]
            if roles:
                with self._naming(wire):
                    by.drop(wire, roles, lock_seconds=self._wait)
        for ending in clean:
            ending.removed = True

    def _tidy(self, chunk: Sequence[Ending]) -> None:
        """Hand on what each owns and drop it; what can't be dropped stays neutralised."""
        there = [ending for ending in chunk if ending.found and not ending.removed]
        if not there:
            return
        with self._wires.borrow(self._context) as wire:
            by = writes.means_for(wire.version)
            needed = look.dependents(wire, {oid for one in there for oid in one.oids})
        for ending in there:
            if ending.found and ending.found.oid in needed:
                self._hand_on(by, ending, ending.found, needed[ending.found.oid])

    def _hand_on(
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
        try:
            with self._wires.borrow(self._context) as wire, self._naming(wire, suspect=True):
                by.adopt(wire, found, lock_seconds=self._wait)
            for database in databases:
                self._release(by, ending, found, database)
            with self._wires.borrow(self._context) as wire, self._naming(wire, suspect=True):
                by.drop(wire, [found], lock_seconds=self._wait)
            ending.removed = True
        except ConnectorError as error:
            if batch.is_the_targets(error) and not isinstance(error, Ambiguous):
                with self._wires.borrow(self._context) as wire:  # Is it that one database only?
                    wire.ask("look", "SELECT 1")
            ending.hinder(error)
            with (
                contextlib.suppress(ConnectorError),  # The answer is given; this only tidies up.
                self._wires.borrow(self._context) as wire,
            ):
                by.disown(wire, found, lock_seconds=self._wait)

    def _release(self, by: means.Means, ending: Ending, found: look.Found, database: str) -> None:
        escrow = self._config.escrow_role
        patient = replace(self._context, timeout_seconds=self._context.timeout_seconds * 6)
        with self._wires.borrow(patient, database=database) as wire:
            things = handover.things_of(wire, found.oid)
            under_way = {"handed_over": [f"{thing.what} in {database}" for thing in things]}
            so_far = evidence.merged(ending.so_far(), under_way)
            self._context.remember({ending.name: so_far})
            with self._naming(wire, suspect=True):
                by.release(wire, ending.name, escrow, lock_seconds=self._wait)
            became = handover.became(wire, things, escrow=escrow)
        ending.evidence = evidence.merged(ending.evidence, became)

    def _prove(self, chunk: Sequence[Ending]) -> None:
        with self._wires.borrow(self._context) as wire:
            now, there = look.what_is_left(wire, [ending.name for ending in chunk])
            open_yet = batch.backends(wire, chunk)
            if any(open_yet.values()):  # It was being let in while we closed the door.
                batch.cut(wire, chunk, seconds=self._context.timeout_seconds)
                now, there = look.what_is_left(wire, [ending.name for ending in chunk])
                open_yet = batch.backends(wire, chunk)
        for ending in chunk:
            ending.conclude(now, there.get(ending.name), open_yet[ending.name])
