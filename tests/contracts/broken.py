"""Connectors that are wrong on purpose, each in a way that looks fine on a good day."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence
from dataclasses import replace

from jit.connectors.base import ConnectorError, GrantSpec, Issued, Revoked
from jit.connectors.postgresql import PostgreSQL, batch, ending, look, writes
from jit.kernel import clock


class BlindCreate(PostgreSQL):
    """Makes up a new name each time, so a retry leaves the first one behind, unknown to anybody."""

    def provision(self, spec: GrantSpec) -> Issued:
        return super().provision(replace(spec, external_name=f"jit_{secrets.token_hex(8)}"))


class DeadlineLater(PostgreSQL):
    """Gives first and writes the deadline in a second transaction."""

    def provision(self, spec: GrantSpec) -> Issued:
        one_day = dt.timedelta(days=1)
        issued = super().provision(replace(spec, ends_at=spec.ends_at + one_day))
        with self.wires.borrow(self.context) as wire:
            (row,) = wire.begin("look", look.one_role(spec.external_name), lock_seconds=1)
            found = look.Found.of(row)
            writes.means_for(wire.version).extend(wire, found, spec.ends_at)
            wire.commit("commit deadline")
        return issued


class _CutsNothing(ending.Endings):
    def _terminate(self, chunk: Sequence[batch.Ending]) -> None: ...

    def _cut(self, chunk: Sequence[batch.Ending]) -> None:
        for one in chunk:
            one.evidence["connections_cut"] = 0

    def _prove(self, chunk: Sequence[batch.Ending]) -> None:
        with self._wires.borrow(self._context) as wire:
            now, there = look.what_is_left(wire, [one.name for one in chunk])
        for one in chunk:
            if one.name in there:
                one.conclude(now, there[one.name], ())
                continue
            one.answer = Revoked(
                absent=True,
                evidence={
                    "observed_at": clock.rfc3339(now),
                    "roles_found": 0,
                    "connections_found": 0,
                    **one.evidence,
                },
            )


class ForgetsToCut(PostgreSQL):
    """Drops the role and believes that this ends its open connections."""

    def revoke(self, specs: Sequence[GrantSpec]) -> list[Revoked | ConnectorError]:
        return _CutsNothing(self.config, self.wires, self.context, specs).run()


class ClaimsAbsent(PostgreSQL):
    """Does nothing and says that it did."""

    def revoke(self, specs: Sequence[GrantSpec]) -> list[Revoked | ConnectorError]:
        evidence = {
            "observed_at": clock.rfc3339(clock.now()),
            "roles_found": 0,
            "connections_found": 0,
            "connections_cut": 0,
        }
        return [Revoked(absent=True, evidence=evidence) for _ in specs]
