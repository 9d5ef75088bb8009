"""PostgreSQL up to 15: roles written by the functions of sql/postgresql_15_definer.sql."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from jit.connectors.postgresql.look import Found
from jit.connectors.postgresql.means import Draft
from jit.connectors.postgresql.wire import Wire


class Definer:
    """Calls; whatever they must know they look up themselves, and they keep the allow-list."""

    label = "definer"
    sets_role_at_login = False

    def write(self, wire: Wire, draft: Draft, existing: Found | None) -> None:  # noqa: ARG002 -- see above
        wire.ask(
            "write role",
            "SELECT jit.provision(%s, %s, %s, %s, %s, %s)",
            [
                draft.name,
                draft.verifier,
                draft.deadline,
                draft.member_of,
                draft.comment,
                draft.connection_limit,
            ],
        )

    def extend(self, wire: Wire, found: Found, deadline: dt.datetime) -> None:
        wire.ask("move deadline", "SELECT jit.extend(%s, %s)", [found.name, deadline])

    def is_revoked(self, wire: Wire, name: str) -> bool:  # noqa: ARG002 -- see above
        return False

    def neutralise(
        self,
        wire: Wire,
        asked: Sequence[str],
        there: Sequence[Found],  # noqa: ARG002 -- see above
        members: Mapping[str, Collection[str]],  # noqa: ARG002 -- see above
    ) -> None:
        wire.ask("neutralise", "SELECT jit.neutralise(%s)", [list(asked)])

    def adopt(self, wire: Wire, found: Found) -> None:
        """Nothing to do: `jit.release_owned` adopts, and disowns."""

    def disown(self, wire: Wire, found: Found) -> None:
        """Nothing to do, as above."""

    def release(self, wire: Wire, name: str, escrow: str) -> None:
        wire.ask("release owned", "SELECT jit.release_owned(%s, %s)", [name, escrow])

    def drop(self, wire: Wire, roles: Sequence[Found]) -> None:
        names = [role.name for role in roles]
        wire.ask("drop", "SELECT jit.drop_roles(%s)", [names], committing=True)
