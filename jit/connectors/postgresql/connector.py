"""The PostgreSQL connector: what it promises, call by call."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

from jit.connectors.base import (
    Caps,
    Config,
    Connector,
    ConnectorError,
    Context,
    GrantSpec,
    Health,
    InvalidConfig,
    Issued,
    Refused,
    Revoked,
    Seen,
)
from jit.connectors.postgresql import (
    batch,
    blockers,
    ending,
    health,
    look,
    means,
    reach,
    replicas,
    writes,
)
from jit.connectors.postgresql.config import (
    EXTERNAL_NAME,
    PostgreSQLConfig,
    PostgreSQLRole,
    psql_line,
)
from jit.connectors.postgresql.wire import Busy, Wire, Wires
from jit.kernel import clock


class PostgreSQL(Connector):
    """A login role `jit_<grant>` for each grant: NOINHERIT, a member of the one role it is for,
    `VALID UNTIL` the grant's end, written in one transaction. Objects a person makes belong to
    the role they became, while `session_user` names the grant.
    """

    kind = "postgresql"
    closing: ClassVar[str] = (
        "set `direct: false` in its config, so that nobody is shown the target's own password, "
        "and let jit_… roles log in from the gateways alone (pg_hba.conf)"
    )
    caps: ClassVar[Caps] = Caps(
        target_holds_deadline=True,
        can_cut_sessions=True,
        separates_overlapping_grants=True,
        issues_credential=True,
    )
    config_model: ClassVar[type[Config]] = PostgreSQLConfig
    role_model: ClassVar[type[Config]] = PostgreSQLRole
    changeable_while_live: ClassVar[frozenset[str]] = frozenset(
        {
            "allowed_roles",
            "connect_timeout",
            "connection_limit",
            "password",
            "public_host",
            "public_port",
            "replicas",
            "require_auth",
            "sslmode",
            "sslrootcert",
        }
    )

    def __init__(self, config: Config, context: Context | None = None) -> None:
        if not isinstance(config, PostgreSQLConfig):
            raise InvalidConfig("This connector needs a PostgreSQL configuration.")
        super().__init__(config, context)
        self.config: PostgreSQLConfig = config
        self.wires = Wires(config)

    def check_role(self, role_config: Mapping[str, Any]) -> None:
        self._role(role_config)

    def provision(self, spec: GrantSpec) -> Issued:
        role = self._role_to_give(spec)
        password = secrets.token_urlsafe(24)
        with self._giving() as wire:
            by = writes.means_for(wire.version)
            row = self._begin(wire, by, spec)
            existing = look.Found.of(row) if row["oid"] is not None else None
            if existing:
                self._refuse_a_strangers(existing, spec)
            self._refuse_a_way_round(wire, role.member_of)
            note = {
                "jit": 1,
                "grant": spec.grant_id,
                "principal": spec.principal,
                "role": role.member_of,
                "generation": spec.generation,
                "since_xid": existing.note["since_xid"] if existing else row["xid"],
            }
            # Made here, so that the password itself never reaches the server or its logs.
            verifier = wire.connection.pgconn.encrypt_password(
                password.encode(), spec.external_name.encode(), b"scram-sha-256"
            )
            draft = means.Draft(
                name=spec.external_name,
                verifier=verifier.decode(),
                deadline=spec.ends_at,
                member_of=role.member_of,
                comment=json.dumps(note),
                connection_limit=self.config.connection_limit,
            )
            with self._naming(wire):
                by.write(wire, draft, existing)
            by.commit(wire, spec.external_name)
            version = wire.version
        return Issued(
            credential=self._credential(spec, role, password, sets_role=by.sets_role_at_login),
            detail={
                "mode": by.label,
                "role": role.member_of,
                "deadline": clock.rfc3339(spec.ends_at),
                "again": existing is not None,
                "server_version": version,
            },
        )

    def extend(self, spec: GrantSpec) -> None:
        _check_name(spec)
        with self._giving() as wire:
            by = writes.means_for(wire.version)
            row = self._begin(wire, by, spec)
            if row["oid"] is None:
                raise Refused(f"{spec.external_name} is not there: the target lost it")
            found = look.Found.of(row)
            self._refuse_a_strangers(found, spec)
            if found.deadline is None or found.deadline < spec.ends_at:
                with self._naming(wire):
                    by.extend(wire, found, spec.ends_at)
            by.commit(wire, spec.external_name)

    def observe(self) -> list[Seen]:
        with self.wires.borrow(self.context) as wire:
            rows = look.under_our_mark(wire, standing={self.config.user, self.config.escrow_role})
        return [_seen(row) for row in rows]

    def revoke(self, specs: Sequence[GrantSpec]) -> list[Revoked | ConnectorError]:
        return ending.Endings(self.config, self.wires, self.context, specs).run()

    def cut(self, spec: GrantSpec) -> int:
        _check_name(spec)
        with self.wires.borrow(self.context) as wire:
            ending = batch.Ending(spec)
            batch.cut(wire, [ending], seconds=self.context.timeout_seconds)
        there = replicas.terminate(self.wires, self.context, name=spec.external_name)
        if ending.left:
            raise Busy(f"{len(ending.left)} connections were told to end and have not")
        return len(ending.told) + there

    def suspend(self, external_name: str) -> Mapping[str, Any]:
        spec = GrantSpec("", external_name, "", {}, ends_at=clock.now())
        _check_name(spec)
        gone = batch.Ending(spec)
        seconds = self.context.timeout_seconds / 2
        with self.wires.borrow(self.context) as wire:
            rows = wire.ask("look", look.many_roles([external_name]))
            found = look.Found.of(rows[0]) if rows else None
            if found is None or not found.note:
                raise Refused(f"{external_name} is not there, or does not bear our mark")
            batch.terminate(wire, [gone])
            writes.means_for(wire.version).suspend(wire, found, lock_seconds=seconds)
            batch.cut(wire, [gone], seconds=seconds)
        on_standbys = replicas.terminate(self.wires, self.context, name=external_name)
        return {
            "can_login": False,
            "connections_cut": len(gone.told - gone.left) + on_standbys,
            "connections_found": len(gone.left),
        }

    def end_backend(self, external_name: str, pid: int) -> bool:
        """End one backend of this ephemeral role and return whether it was there."""
        with self.wires.borrow(self.context) as wire:
            return look.terminate_one(wire, external_name, pid)

    def health(self) -> Health:
        return health.examine(self.config, self.wires, self.context)

    def is_direct(self, role_config: Mapping[str, Any]) -> bool:
        return PostgreSQLRole.parse(role_config).direct

    def close(self) -> None:
        self.wires.close()

    def _role(self, role_config: Mapping[str, Any]) -> PostgreSQLRole:
        role = PostgreSQLRole.parse(role_config)
        if role.member_of not in self.config.allowed_roles:
            said = f"{role.member_of} is not among the target's allowed_roles"
            raise InvalidConfig(said, fields={"member_of": [said]})
        return role

    def _role_to_give(self, spec: GrantSpec) -> PostgreSQLRole:
        _check_name(spec)
        try:
            return self._role(spec.role_config)
        except InvalidConfig as invalid:
            raise Refused(invalid.detail) from None

    def _giving(self) -> AbstractContextManager[Wire]:
        """Borrow a connection for giving: half the time for each of the seven calls at most, so
        that all of it ends before the caller's lease on the grant does (35 s of 40).
        """
        hasty = replace(self.context, timeout_seconds=self.context.timeout_seconds / 2)
        return self.wires.borrow(hasty)

    def _naming(self, wire: Wire) -> AbstractContextManager[None]:
        return blockers.named(self.wires, self.context, wire)

    def _begin(self, wire: Wire, by: means.Means, spec: GrantSpec) -> Mapping[str, Any]:
        """Begin a transaction that gives the role, and return how things stand.

        Whatever of us is still on its way later, a revocation waits for it or shuts it out.
        """
        with self._naming(wire):
            seconds = wire.context.timeout_seconds / 2
            row = by.begin(wire, spec.external_name, lock_seconds=seconds)
        if row["revoked"]:
            raise Refused(f"{spec.external_name} was revoked already; it is not given again")
        now: dt.datetime = row["now"]
        if spec.ends_at <= now:
            raise Refused(
                f"the end ({clock.rfc3339(spec.ends_at)}) has passed by the target's clock "
                f"({clock.rfc3339(now)})"
            )
        return row

    def _refuse_a_way_round(self, wire: Wire, role: str) -> None:
        reached = reach.reached_from(wire, [role])
        if why := reach.ways_round(reached, service=self.config.user):
            raise Refused(f"{role} may not be given: {'; '.join(why)}")

    @staticmethod
    def _refuse_a_strangers(found: look.Found, spec: GrantSpec) -> None:
        if found.note.get("grant") != spec.grant_id:
            raise Refused(f"{found.name} exists on the target and is not this grant's")
        if found.note.get("generation", 0) > spec.generation:
            raise Refused(f"{found.name} belongs to a newer generation of this grant")
        if found.neutralised:
            raise Refused(f"{found.name} is being revoked; it is not given again")

    def _credential(
        self, spec: GrantSpec, role: PostgreSQLRole, password: str, *, sets_role: bool
    ) -> dict[str, str]:
        host = self.config.public_host or self.config.host
        port = self.config.public_port or self.config.port
        database = role.databases[0] if role.databases else self.config.database
        options = "" if sets_role else f"-c role={_option(role.member_of)}"
        credential = {
            "host": host,
            "port": str(port),
            "database": database,
            "user": spec.external_name,
            "password": password,
            "psql": psql_line(
                host=host,
                port=port,
                database=database,
                user=spec.external_name,
                ssl=self.config.ssl,
                options=options,
            ),
        }
        if options:
            credential["options"] = options
        return credential


def _check_name(spec: GrantSpec) -> None:
    if not EXTERNAL_NAME.fullmatch(spec.external_name):
        raise Refused(f"{spec.external_name!r} is no name of ours (jit_ and 4 to 40 of a-z, 0-9)")


def _option(role: str) -> str:
    """Return a role's name as libpq's `options` wants it: blanks and backslashes escaped."""
    return role.replace("\\", "\\\\").replace(" ", "\\ ")


def _seen(row: Mapping[str, Any]) -> Seen:
    found = look.Found.of(row)
    return Seen(
        external_name=found.name,
        deadline=found.deadline,
        live_connections=row["connections"],
        usable=found.can_login or row["connections"] > 0,
        detail={
            "member_of": list(row["member_of"]),
            "can_login": found.can_login,
            "neutralised": found.neutralised,
            **{key: found.note[key] for key in ("grant", "principal") if key in found.note},
        },
    )
