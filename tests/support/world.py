"""The demo's people, policy, tickets and roles for tests, on a real PostgreSQL target."""

from __future__ import annotations

import datetime as dt
import functools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import yaml
from django.conf import settings
from django.db import transaction
from django.test import Client
from psycopg import sql

from jit.catalog import loader
from jit.catalog.models import Role
from jit.elevation.models import ElevationRequest, Grant
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import clock, tasks
from jit.kernel.actor import Channel
from jit.ops.demo import people as demo_people
from jit.ops.demo import seed, target
from jit.policy import compiled, files
from jit.policy import operations as policy
from jit.tickets import operations as tickets
from jit.tickets.models import LocalTicket
from jit.workflow import activate, submit
from tests.support import folders, people, remembered, servers

SERVICE_PASSWORD = "the-service-account-of-the-tests"
READER, WRITER, ADMIN = "orders-db-reader", "orders-db-writer", "orders-db-admin"


@functools.cache
def prepared_target() -> tuple[target.Cluster, Path]:
    """Return the target cluster with the demo's rows, and the file with our password there."""
    where = servers.target("18")
    cluster = target.Cluster(where.host, where.port, where.user, where.password)
    target.prepare(cluster, service_password=SERVICE_PASSWORD)
    path = folders.passing("test-target") / "password"
    path.touch(mode=0o600)
    path.write_text(SERVICE_PASSWORD, encoding="ascii")
    return cluster, path


@dataclass
class Api:
    """A person's program: JSON in, JSON out, by bearer token."""

    client: Client
    token: str

    def _headers(self, headers: dict[str, str] | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", **(headers or {})}

    def get(self, path: str, **query: str) -> Any:
        return self.client.get(f"/api/v1/{path}", query, headers=self._headers(None))

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        return self.client.post(
            f"/api/v1/{path}",
            body if isinstance(body, str) else json.dumps(body if body is not None else {}),
            content_type="application/json",
            headers=self._headers(headers),
        )


@functools.cache
def _checked(text: str) -> compiled.Bundle:
    """Return the compiled bundle of this policy: checked once, for all tests."""
    return policy._checked({"demo.yaml": text})


def _install_policy() -> None:
    """Put `demo.yaml` of POLICY_DIR in force as `install_first` does, but check it only once."""
    demo = {"demo.yaml": files.read_folder(settings.POLICY_DIR)["demo.yaml"]}
    bundle = _checked(demo["demo.yaml"])
    told: Any = {"user": None, "actor": seed.SEEDER, "now": clock.now(), "comment": "tests"}
    with transaction.atomic():
        policy._activate(policy._store(bundle, demo, **told), **told)


class World:
    """Everybody and everything of the demo, and short ways to act as them."""

    def __init__(self) -> None:
        self.cluster, self._password_file = prepared_target()
        remembered.made(f"world of {settings.POLICY_DIR}", self._make)
        self.tickets = {row.title: row.key for row in LocalTicket.objects.all()}

    def _make(self) -> None:
        for slug, (_, permissions) in demo_people.GROUPS.items():
            people.group(slug, *permissions)
        for username, (_, group) in demo_people.PEOPLE.items():
            people.person(username, *([group] if group else []))
        self.load_catalogue()
        _install_policy()
        self._open_tickets()

    def load_catalogue(self, **config: Any) -> None:
        """Apply the demo's catalogue; `config` overrides what is known of the target."""
        document = seed._catalogue(self.cluster, self._password_file)
        document["targets"][0]["config"] |= config
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(document, file)
            file.flush()
            changes = loader.diff([Path(file.name)])
        loader.apply(changes=changes, actor=seed.SEEDER, now=clock.now())

    def _open_tickets(self) -> None:
        wanted = {"sev2": (2, "rita"), "closed": (3, "rita"), "bos": (3, "bo"), "sev1": (1, "rita")}
        for name, (severity, assignee) in wanted.items():
            row = tickets.open_ticket(
                title=name,
                severity=severity,
                assignee=assignee,
                service="orders",
                actor=seed.SEEDER,
                now=clock.now(),
            )
            if name == "closed":
                tickets.close_ticket(ticket=row, user=None, actor=seed.SEEDER, now=clock.now())

    def user(self, username: str) -> User:
        """Return the account as it is now."""
        found = identity.user_by_username(username)
        assert found is not None
        return found

    def api(self, username: str, client: Client | None = None) -> Api:
        return Api(client or Client(), people.token(self.user(username)))

    def actor(self, username: str, channel: Channel = Channel.API) -> Any:
        return people.acting(self.user(username), channel)

    def ask(self, username: str = "rita", role: str = WRITER, **more: Any) -> ElevationRequest:
        """Submit a request, by default rita's for the writer role."""
        values = {
            "role": role,
            "ticket": self.tickets["sev2"],
            "justification": "The checkout times out.",
            "duration_seconds": 600,
        }
        request, _ = submit.submit(
            requester=self.user(username),
            ask=submit.Ask(**(values | more)),
            actor=self.actor(username),
            now=clock.now(),
        )
        return request

    def decide(
        self, username: str, request: ElevationRequest | UUID, verdict: str = "approve", **more: Any
    ) -> Any:
        from approvals import operations
        from approvals.states import Verdict

        values = {"comment": "", "duration_seconds": None, "second_factor": False} | more
        return operations.decide(
            request_id=request if isinstance(request, UUID) else request.pk,
            approver=self.user(username),
            verdict=Verdict(verdict),
            actor=self.actor(username),
            now=values.pop("now", clock.now()),
            **values,
        )

    def grant(self, username: str = "rita", role: str = WRITER, **more: Any) -> Grant:
        """Return an ACTIVE grant, asked for, approved and provisioned on the real target."""
        request = self.ask(username, role, **more)
        if role in {WRITER, ADMIN}:
            self.decide("ada", request)
        if role == ADMIN:
            self.decide("olga", request)
        held = Grant.objects.get(request=request)
        activate.activate(grant_id=held.pk)
        held.refresh_from_db()
        assert held.state == "ACTIVE", (held.state, held.last_error, held.waiting_for)
        return held

    def due(self, *grants: Grant, ago: float = 1) -> None:
        """Move the end of these grants into the past, as if their time had run out."""
        for grant in grants:
            assert grant.ends_at
            shift = clock.now() - grant.ends_at + dt.timedelta(seconds=-ago)
            Grant.objects.filter(pk=grant.pk).update(
                ends_at=grant.ends_at + shift, starts_at=(grant.starts_at or clock.now()) + shift
            )

    def roles_on_target(self) -> set[str]:
        """Return the names of our ephemeral roles that the target really has."""
        with self.cluster.connect("postgres") as connection:
            rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'jit\\_%'")
            return {str(row[0]) for row in rows}

    def clean_target(self) -> None:
        """Remove what tests before left there: their grants were rolled back, their roles not."""
        left = [sql.Identifier(name) for name in self.roles_on_target()]
        if left:
            with self.cluster.connect(target.DATABASE) as connection:
                names = sql.SQL(", ").join(left)
                connection.execute(sql.SQL("DROP OWNED BY {}").format(names))
                connection.execute(sql.SQL("DROP ROLE {}").format(names))

    def log_in(self, credential: dict[str, Any]) -> psycopg.Connection[Any]:
        """Connect to the target as the credential says."""
        return psycopg.connect(
            host=credential["host"],
            port=credential["port"],
            dbname=credential["database"],
            user=credential["user"],
            password=credential["password"],
            autocommit=True,
            connect_timeout=5,
        )

    def role(self, slug: str = WRITER) -> Role:
        return Role.objects.get(slug=slug)

    def give(self, group: str, permission: Permission) -> None:
        people.group(group, permission)


__all__ = ["ADMIN", "READER", "WRITER", "Api", "World", "prepared_target", "tasks"]
