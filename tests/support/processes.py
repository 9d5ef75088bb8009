"""A running installation as an outsider meets it: its address, its people's tokens, its target."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests
from django_otp import oath

ROOT = Path(__file__).resolve().parents[2]
BRISK = {"JIT_READS_PER_MINUTE": "100000", "JIT_WRITES_PER_MINUTE": "100000"}
"""Programs may call as often as they like."""
QUICK = {
    **BRISK,
    "JIT_LEASE": "3",
    "JIT_STUCK_AFTER": "2",
    "JIT_TICKET_CLOSED_NOTICE": "3",
    "JIT_WEBHOOK_NETWORKS": "127.0.0.0/8",
    "JIT_WEBHOOK_TIMEOUT": "1",
}
"""What is waited for elsewhere in minutes, in seconds."""
WRITTEN = (
    "elevation_elevationrequest",
    "elevation_grant",
    "elevation_afterreview",
    "approvals_chain",
    "approvals_decision",
)
READER, WRITER, ADMIN = "orders-db-reader", "orders-db-writer", "orders-db-admin"


class TooSlow(AssertionError):
    """What was waited for did not come; the message says what was seen last."""


def until[Seen](
    look: Callable[[], Seen], holds: Callable[[Seen], object] = bool, *, seconds: float = 90
) -> Seen:
    """Return what `look()` gives once it `holds`; raises TooSlow with what was seen last."""
    end = time.monotonic() + seconds
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > end:
            raise TooSlow(f"after {seconds:g} s still: {seen!r}")
        time.sleep(0.05)


KEPT = 3.0
"""Seconds of silence after which a connection is made anew: the server ends a kept one after five,
and what is sent in that very moment is lost.
"""


@dataclass
class Person:
    """Somebody with a token, at the other end of a wire."""

    name: str
    url: str
    token: str
    totp_secret: str = ""
    _codes: int = 0
    _own: threading.local = field(default_factory=threading.local)

    def http(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send a request, each thread on a connection of its own."""
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
            self._own.session.headers["Authorization"] = f"Bearer {self.token}"
            self._own.last = 0.0
        if time.monotonic() - self._own.last > KEPT:
            self._own.session.close()
        self._own.last = time.monotonic()
        answer: requests.Response = self._own.session.request(
            method, f"{self.url}/api/v1/{path}", timeout=30, **more
        )
        return answer

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.http("GET", path, params=query)

    def post(self, path: str, body: Any = None, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http("POST", path, json={} if body is None else body, headers=named)

    def ask(self, role: str = WRITER, ticket: str = "OPS-1", **more: Any) -> requests.Response:
        """Ask for a role, by default rita's usual one."""
        wanted = {
            "role": role,
            "ticket": ticket,
            "justification": "The checkout times out.",
            "duration_seconds": 600,
        }
        return self.post("requests/", wanted | more)

    def decide(self, request_id: str, decision: str = "approve", **more: Any) -> requests.Response:
        return self.post(f"requests/{request_id}/decisions/", {"decision": decision, **more})

    def request(self, request_id: str) -> Any:
        return self.get(f"requests/{request_id}/").json()

    def grant(self, grant_id: str) -> Any:
        return self.get(f"grants/{grant_id}/").json()

    def code(self) -> str:
        """Return a one-time code that was not used yet and is good for 15 s more at least. The
        server takes the step before and the one after as well: the earlier one is used where it
        lasts, which leaves more for whoever signs in next.
        """
        step = max(int(time.time() - 15) // 30, self._codes + 1)
        self._codes = step
        return f"{oath.hotp(base64.b32decode(self.totp_secret), step):06d}"


class Running:
    """An installation that runs; its processes are moved by `kill`, `start`, `stop`, `add`."""

    def __init__(self, **environment: str) -> None:
        lasting = environment.pop("lasting", "") == "yes"
        connections = environment.pop("target_connections", "")
        wired = environment.pop("wired", "") == "yes"
        data = Path(tempfile.mkdtemp(prefix="jit-stage-"))
        self._lock = threading.Lock()
        order = {"data": str(data), "lasting": lasting, "environment": environment}
        order |= {"target": {"max_connections": connections} if connections else {}}
        order["wired"] = wired
        self._stage = subprocess.Popen(
            [sys.executable, "-m", "tests.support.stage", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=_without_ours(),
            start_new_session=True,
        )
        where = self._answer()
        self.environment: dict[str, str] = where["environment"]
        self.database: dict[str, Any] = where["database"]
        self.superuser: dict[str, Any] = where["superuser"]
        self.demo: dict[str, Any] = where["demo"]
        self.data = data
        self.url: str = self.demo["url"]
        self._people: dict[str, Person] = {}

    def __getattr__(self, name: str) -> Person:
        if name in self.demo["people"]:
            return self.person(name)
        raise AttributeError(name)

    def person(self, name: str) -> Person:
        if name not in self._people:
            known = self.demo["people"][name]
            self._people[name] = self.with_token(name, known["token"])
            self._people[name].totp_secret = known["totp_secret"]
        return self._people[name]

    def with_token(self, name: str, token: str) -> Person:
        return Person(name, self.url, token)

    def newcomer(self, name: str) -> Person:
        """Return somebody new of payments-sre, made by the operator's commands, who may ask."""
        secret = "a long enough password of theirs\n"
        group = ("--group", "payments-sre")
        self.manage("create_user", name, *group, "--password-stdin", given=secret)
        scopes = ("--scope", "read", "--scope", "request")
        return self.with_token(
            name, self.manage("create_token", name, "--name", "t", *scopes).strip()
        )

    # --- Its processes ----------------------------------------------------------------

    def kill(self, name: str) -> None:
        self._order(do="kill", name=name)

    def start(self, name: str) -> None:
        self._order(do="start", name=name)

    def stop(self, name: str) -> None:
        self._order(do="stop", name=name)

    def revive(self, name: str) -> None:
        """Start it if it ended by itself, as whoever supervises it would."""
        if not self.is_running(name):
            self.start(name)

    def add(self, name: str, like: str, *, before: Sequence[str] = (), **env: str) -> None:
        """Start another program like one that is there, by the words `before` its own."""
        self._order(do="add", name=name, like=like, env=env, before=list(before))

    def wire(self, name: str, how: str, *, of: str = "") -> None:
        """Let the wires to `database`, `valkey`, `target` or `store` behave like this
        (`wired="yes"`); of the first two, only that `of` one program.
        """
        self._order(do="wire", name=name, how=how, of=of)

    def is_running(self, name: str) -> bool:
        return bool(self._order(do="running", name=name)["running"])

    def pid(self, name: str) -> int:
        return int(self._order(do="pid", name=name)["pid"])

    def manage(self, *arguments: str, given: str = "") -> str:
        """Run a management command as the operator at the terminal would; return its output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self, name: str) -> str:
        path = self.data / "logs" / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def close(self) -> None:
        assert self._stage.stdin
        with contextlib.suppress(OSError):
            self._stage.stdin.close()
        self._stage.wait(60)
        assert self._stage.stdout
        self._stage.stdout.close()

    def _order(self, **order: Any) -> dict[str, Any]:
        with self._lock:
            assert self._stage.stdin
            self._stage.stdin.write(json.dumps(order) + "\n")
            self._stage.stdin.flush()
            answer = self._answer()
        assert "failed" not in answer, answer["failed"]
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._stage.stdout
        line = self._stage.stdout.readline()
        assert line, "the stage fell down: see the lines above"
        answer: dict[str, Any] = json.loads(line)
        return answer

    # --- The two databases, seen from outside -----------------------------------------

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return rows of the installation's own database, read as its superuser."""
        with psycopg.connect(**self.database, autocommit=True) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload, no-any-return]

    def target(self, database: str = "orders") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(**self.superuser, dbname=database, autocommit=True)

    def roles(self) -> set[str]:
        """Return the names of our ephemeral roles that the target really has."""
        with self.target() as connection:
            found = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'jit\\_%'")
            return {str(row[0]) for row in found}

    @staticmethod
    def log_in(credential: dict[str, Any]) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect as the credential says."""
        return psycopg.connect(
            host=credential["host"],
            port=credential["port"],
            dbname=credential["database"],
            user=credential["user"],
            password=credential["password"],
            autocommit=True,
            connect_timeout=5,
        )

    # --- Short ways -------------------------------------------------------------------

    def active(self, role: str = WRITER, *, by: str = "rita", **more: Any) -> tuple[str, str]:
        """Return (request id, grant id) of a grant that was asked for, approved, and works."""
        asked = self.person(by).ask(role, **more)
        assert asked.status_code == 201, asked.text
        request_id = asked.json()["id"]
        approvers = {WRITER: ["ada"], ADMIN: ["ada", "olga"]}.get(role, [])
        for name in approvers:
            said = self.person(name).decide(request_id)
            assert said.status_code == 201, said.text
        grant_id = self.person(by).request(request_id)["grant"]["id"]
        self.wait(grant_id, "ACTIVE", by=by)
        return request_id, grant_id

    def wait(self, grant_id: str, state: str, *, by: str = "rita", seconds: float = 90) -> Any:
        """Return the grant once it is in `state`."""
        person = self.person(by)
        return until(
            lambda: person.grant(grant_id),
            lambda grant: grant.get("state") == state,
            seconds=seconds,
        )

    def credential(self, grant_id: str, *, by: str = "rita") -> Any:
        shown = self.person(by).post(f"grants/{grant_id}/credential/")
        assert shown.status_code == 200, shown.text
        return shown.json()

    def give_back(self, grant_id: str, *, by: str = "rita") -> Any:
        """End the grant and return it once it was seen gone."""
        assert self.person(by).post(f"grants/{grant_id}/return/").status_code == 200
        return self.wait(grant_id, "ENDED", by=by)

    # --- What must hold whatever happened ---------------------------------------------

    def clear(self) -> None:
        """End whatever tests before left open, so that the next may ask for any role."""
        pending = self.rows(
            "SELECT r.id, u.username FROM elevation_elevationrequest r"
            " JOIN identity_user u ON u.id = r.requester_id WHERE r.state = 'PENDING'"
        )
        for request_id, name in pending:
            self.person(name).post(f"requests/{request_id}/withdraw/")
        live = self.rows(
            "SELECT g.id, u.username FROM elevation_grant g"
            " JOIN identity_user u ON u.id = g.user_id"
            " WHERE g.state IN ('SCHEDULED', 'ACTIVATING', 'ACTIVE')"
        )
        for grant_id, name in live:
            self.person(name).post(f"grants/{grant_id}/return/")

    def count(self) -> dict[str, int]:
        """Return how many rows there are of all that a request may write."""
        counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in WRITTEN)
        return dict(zip(WRITTEN, self.rows(f"SELECT {counts}")[0], strict=True))

    def everything_is_in_order(self) -> None:
        """Assert the promises that no crash may break, on the books and on the target."""
        books = {
            name: (state, ends_at)
            for name, state, ends_at in self.rows(
                "SELECT external_name, state, ends_at FROM elevation_grant"
            )
        }
        with self.target() as connection:
            there = connection.execute(
                "SELECT rolname, rolvaliduntil IS NOT NULL, rolcanlogin AND rolvaliduntil > now()"
                " FROM pg_roles WHERE rolname LIKE 'jit\\_%'"
            ).fetchall()
            now = connection.execute("SELECT now()").fetchone()
        for name, has_deadline, opens in there:
            assert name in books, f"{name} has no grant"
            state, ends_at = books[name]
            assert state in {"ACTIVATING", "ACTIVE", "REVOKING"}, f"{name} outlived its {state}"
            assert has_deadline, f"{name} has no deadline of its own"
            assert not opens or (now and ends_at > now[0]), f"{name} opens after its end"
        doubled = self.rows(
            "SELECT request_id FROM elevation_grant GROUP BY request_id HAVING count(*) > 1"
        )
        assert doubled == []
        unseen = self.rows(
            "SELECT id FROM elevation_grant WHERE state = 'ENDED'"
            " AND (revocation_verified_at IS NULL OR evidence = '{}')"
        )
        assert unseen == []


def _without_ours() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JIT_", "DATABASE_", "REDIS_", "DJANGO_"))
    }


@contextlib.contextmanager
def installation(**environment: str) -> Iterator[Running]:
    """Run an installation for the length of the block."""
    running = Running(**environment)
    try:
        yield running
    finally:
        running.close()
