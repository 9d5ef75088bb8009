"""Put the demo in place, or find it in place: safe to run at every start."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from jit.catalog import loader
from jit.identity import queries as identity
from jit.kernel import clock
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.ops.demo import host, people, target
from jit.policy import files
from jit.policy import operations as policy
from jit.policy import queries as policies
from jit.tickets import operations as tickets
from jit.tickets.models import LocalTicket

SEEDER = Actor(kind=ActorKind.SERVICE, id="demo", name="demo", channel=Channel.CLI)
MONITORING = Actor(kind=ActorKind.SERVICE, id="monitoring", name="monitoring", channel=Channel.CLI)
"""Who opens the demo's tickets: nobody is let in at once by a ticket of their own."""


class NoPlace(Exception):
    """The demo is seeded by `make run` only; the message says what is missing."""


def _need(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise NoPlace(f"{name} is not set: `make run` seeds the demo by itself.")
    return value


def seed() -> None:
    """Prepare target, people, catalogue, policy and tickets, and write demo.json (0600)."""
    data = Path(_need("JIT_DATA"))
    cluster = target.Cluster(
        host=_need("JIT_DEMO_TARGET_HOST"),
        port=int(_need("JIT_DEMO_TARGET_PORT")),
        superuser=_need("JIT_DEMO_TARGET_SUPERUSER"),
        password=_need("JIT_DEMO_TARGET_PASSWORD"),
    )
    password_file = data / "keys" / "demo-target-service"
    target.prepare(cluster, service_password=_kept_secret(password_file))
    known = _make_people(data / "demo.json")
    _write_catalogue(data / "demo-catalogue.yaml", cluster, password_file)
    _install_policy()
    _open_tickets()
    _write_private(
        data / "demo.json",
        {
            "url": os.environ.get("JIT_BASE_URL", ""),
            "people": known,
            "target": {"host": cluster.host, "port": cluster.port, "database": target.DATABASE},
            "host": host.shown(),
        },
    )


def _kept_secret(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32), encoding="ascii")
    return path.read_text(encoding="ascii").strip()


def _write_private(path: Path, content: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


def _make_people(demo_json: Path) -> dict[str, Any]:
    """Return everybody's secrets: those written down before, and fresh ones for who is new."""
    known: dict[str, Any] = {}
    if demo_json.exists():
        known = json.loads(demo_json.read_text(encoding="utf-8")).get("people", {})
    now = clock.now()
    groups = people.make_groups(actor=SEEDER, now=now)
    for username in people.PEOPLE:
        if identity.user_by_username(username) is None:
            made = people.make_person(username, groups=groups, actor=SEEDER, now=now)
            known[username] = asdict(made)
    return known


def _write_catalogue(path: Path, cluster: target.Cluster, password_file: Path) -> None:
    """Write the catalogue beside the data, as an operator would keep it in git, and apply it."""
    document = yaml.safe_dump(_catalogue(cluster, password_file), sort_keys=False)
    path.write_text(document, encoding="utf-8")
    changes = loader.diff([path])
    if changes:
        loader.apply(changes=changes, actor=SEEDER, now=clock.now())


def _catalogue(cluster: target.Cluster, password_file: Path) -> dict[str, Any]:
    def role(name: str, risk: str, longest: str, text: str) -> dict[str, Any]:
        return {
            "slug": f"orders-db-{name}",
            "target": "orders-db",
            "name": f"orders-db / {name}",
            "description": text,
            "risk": risk,
            "owner": "sre-managers",
            "max_duration": longest,
            "config": {"member_of": f"orders_{name}"},
        }

    config = {
        "host": cluster.host,
        "port": cluster.port,
        "database": target.DATABASE,
        "user": target.SERVICE,
        "password": f"file:{password_file}",
        "allowed_roles": list(target.ROLES),
        "escrow_role": target.ESCROW,
    }
    orders = {"slug": "orders-db", "name": "Orders database", "kind": "postgresql"}
    return {
        "targets": [
            {**orders, "env": "prod", "team": "payments", "config": config},
            *host.targets(),
        ],
        "roles": [
            role("reader", "low", "30m", "Read customers and orders."),
            role("writer", "medium", "2h", "Read and change customers and orders."),
            role("admin", "high", "1h", "Change data and schema."),
            *host.roles(),
        ],
    }


def _install_policy() -> None:
    """Install the policy in POLICY_DIR as the first; later ones take two people, as anywhere."""
    if policies.active() is None:
        found = files.read_folder(settings.POLICY_DIR)
        policy.install_first(files=found, actor=SEEDER, now=clock.now())


def _open_tickets() -> None:
    """Open OPS-1 to OPS-4, once."""
    if LocalTicket.objects.exists():
        return
    wanted = [
        ("Checkout times out for one customer in ten", 2, "rita", False),
        ("Refund report shows last week's numbers", 3, "rita", True),
        ("Clean up orphaned carts", 3, "bo", False),
        ("Payments are being rejected everywhere", 1, "rita", False),
    ]
    for title, severity, assignee, is_closed in wanted:
        now = clock.now()
        ticket = tickets.open_ticket(
            title=title,
            severity=severity,
            assignee=assignee,
            service="orders",
            actor=MONITORING,
            now=now,
        )
        if is_closed:
            tickets.close_ticket(ticket=ticket, user=None, actor=SEEDER, now=now)
