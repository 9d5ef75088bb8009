"""SSH connectors that are wrong on purpose, each in a way that looks fine on a good day."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence
from dataclasses import replace

from jit.connectors.base import ConnectorError, GrantSpec, Issued, Revoked
from jit.connectors.ssh import SSH, ending, scripts
from jit.kernel import clock


class BlindSigning(SSH):
    """Signs under a new name each time, so nobody knows what to revoke after a crash."""

    def provision(self, spec: GrantSpec) -> Issued:
        return super().provision(replace(spec, external_name=f"jit_{secrets.token_hex(8)}"))


class DayTicket(SSH):
    """Signs for a day, whatever the grant's end, and trusts in revoking it in time."""

    def provision(self, spec: GrantSpec) -> Issued:
        one_day = dt.timedelta(days=1)
        issued = super().provision(replace(spec, ends_at=spec.ends_at + one_day))
        book = self.ledger.read()
        entry = replace(book.entries[spec.external_name], deadline=spec.ends_at)
        self.ledger._write(
            lambda book, _now: replace(book, entries={**book.entries, spec.external_name: entry})
        )
        return issued


class ListsNothing(SSH):
    """Believes that a grant's end ends its certificate, and claims the rest."""

    def revoke(self, specs: Sequence[GrantSpec]) -> list[Revoked | ConnectorError]:
        evidence = {
            "observed_at": clock.rfc3339(clock.now()),
            "certificates_taken": 0,
            "connections_found": 0,
            "connections_cut": 0,
            "hosts": {
                host.name: {"refused": True, "took_another": True} for host in self.config.hosts
            },
        }
        return [Revoked(absent=True, evidence=evidence) for _ in specs]


class ForgetsToCut(SSH):
    """Lists the name, sees it refused, and lets open connections be."""

    def revoke(self, specs: Sequence[GrantSpec]) -> list[Revoked | ConnectorError]:
        real, scripts.end = scripts.end, lambda names, tag: scripts.clock_only()
        try:
            return ending.Endings(self.config, self.ledger, self._wires(), specs).run()
        finally:
            scripts.end = real


class KeepsTheOldSerial(SSH):
    """Signs a second certificate and leaves the first one good."""

    def provision(self, spec: GrantSpec) -> Issued:
        issued = super().provision(spec)
        self.ledger._write(lambda book, _now: replace(book, superseded={}))
        return issued
