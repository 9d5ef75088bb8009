"""The SSH gateway itself, on a loop of its own in this process, beside a real sshd.

Its people come in with the real `ssh`; what they hold are ACTIVE grants on the sshd.
"""

from __future__ import annotations

import datetime as dt
import json
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
from django.db import transaction
from django.test import override_settings

from jit.catalog.models import Role, Target
from jit.elevation import operations as elevation
from jit.elevation.models import ElevationRequest, Grant
from jit.elevation.states import RequestState
from jit.identity.models import Group
from jit.kernel import clock
from jit.kernel.actor import CLOCK
from jit.ops.embedded import ground
from sessions.gateways.ssh import server
from sessions.gateways.supervisor import SessionSupervisor
from sessions.models import AccessSession
from sessions.operations import keys, tokens
from sessions.recording.asciicast import Event
from sessions.recording.recorder import Recorder
from sessions.states import Door
from tests.sessions.recording import support as recorded
from tests.support import folders, looping, people, policies
from tests.support.processes import until
from tests.support.sshd import Sshd

TARGET, OPERATOR = "web-1", "web-1-operator"


class RunningGateway:
    """The gateway on `host:port`, its `supervisor`, and where its recordings are spooled."""

    def __init__(self, folder: Path, **house: Any) -> None:
        self.folder = folder
        self.host, self.port = "127.0.0.1", ground.free_port()
        self.key = folder / "gateway-key"
        self.key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        self.key.chmod(0o600)
        self.spool = folder / "spool"
        self._loop = looping.Loop("gateway")
        self.do = self._loop.do
        self.do(self._open())

    async def _open(self) -> None:
        self.recorder = Recorder(self.spool)
        self.supervisor = SessionSupervisor(
            kind="ssh", name=str(self.folder), address=f"{self.host}:{self.port}"
        )
        await self.supervisor.open()
        self.gateway = server.SSHGateway(supervisor=self.supervisor, recorder=self.recorder)
        with override_settings(SSH_GATEWAY_KEYS=[str(self.key)]):
            self.listener = await server.listen(
                self.gateway, socket.create_server((self.host, self.port))
            )

    def close(self) -> None:
        self.do(self._close())
        self._loop.stop()

    async def _close(self) -> None:
        self.listener.close()
        await self.supervisor.close()
        await self.gateway.close()
        self.recorder.stop()


class Visitor:
    """Somebody with a key of their own and the real OpenSSH client."""

    def __init__(self, gateway: RunningGateway, username: str) -> None:
        self.gateway = gateway
        self._left: list[subprocess.Popen[bytes]] = []
        self.folder = folders.passing("visitor")
        self.key = self.folder / "id"
        private = asyncssh.generate_private_key("ssh-ed25519")
        self.key.write_bytes(private.export_private_key())
        self.key.chmod(0o600)
        self.public_key = private.export_public_key().decode()
        self.known = self.folder / "known"
        gateway_key = asyncssh.read_private_key(gateway.key).export_public_key().decode().strip()
        self.known.write_text(f"[{gateway.host}]:{gateway.port} {gateway_key}\n")
        user = people.known_as(username)
        keys.add_key(
            user=user,
            name="laptop",
            public_key=self.public_key,
            actor=people.acting(user),
            now=clock.now(),
        )

    def options(self, *, key: Path | None = None) -> list[str]:
        told = {
            "IdentityFile": key or self.key,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self.known,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
        }
        return ["-F", "none", *(f"-o{name}={value}" for name, value in told.items())]

    def argv(self, *command: str, login: str = OPERATOR, options: Sequence[str] = ()) -> list[str]:
        where = f"{login}@{self.gateway.host}"
        port = str(self.gateway.port)
        # The first of two options wins, so a test may ask for more to be said.
        return ["ssh", *options, *self.options(), "-oLogLevel=ERROR", "-p", port, where, *command]

    def ssh(self, *command: str, login: str = OPERATOR, options: Sequence[str] = (), **more: Any):
        return subprocess.run(
            self.argv(*command, login=login, options=options),
            check=False,
            capture_output=True,
            timeout=40,
            **({} if "input" in more else {"stdin": subprocess.DEVNULL}),
            **more,
        )

    def open(self, *command: str, options: Sequence[str] = (), login: str = OPERATOR):
        """Start a connection that stays."""
        left = subprocess.Popen(
            self.argv(*command, options=options, login=login),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._left.append(left)
        return left

    def close(self) -> None:
        """Let go of every connection that stayed."""
        for left in self._left:
            left.kill()
            left.wait(10)
            for pipe in (left.stdin, left.stdout, left.stderr):
                if pipe is not None:
                    pipe.close()

    def copy(self, *words: str, old: bool = False):
        """Run scp; what is over there begins with a colon."""
        where = f"{OPERATOR}@{self.gateway.host}"
        ends = [f"{where}{word}" if word.startswith(":") else word for word in words]
        options = [*self.options(), "-q", *(["-O"] if old else []), "-P", str(self.gateway.port)]
        return subprocess.run(
            ["scp", *options, *ends], check=False, capture_output=True, timeout=40
        )

    def sftp(self, batch: str):
        where = f"{OPERATOR}@{self.gateway.host}"
        return subprocess.run(
            ["sftp", *self.options(), "-P", str(self.gateway.port), "-b", "-", where],
            input=batch.encode(),
            check=False,
            capture_output=True,
            timeout=40,
        )


def make_target(host: Sshd, ca: Path, *, slug: str = TARGET, **role: Any) -> Role:
    """Write the target of this sshd and its one role, `<slug>-operator`, into the catalogue, and
    a policy in force.
    """
    policies.admit_everybody()
    ca.write_text(host.user_ca_key)
    ca.chmod(0o600)
    host.allow("web", "jit-observer")
    target = Target.objects.create(
        slug=slug,
        name=slug,
        kind="ssh",
        team="payments",
        config={
            "hosts": [{"name": host.name, "address": host.host, "port": host.port}],
            "ca": f"file:{ca}",
            "host_cas": [host.host_ca.public_key],
            "krl": str(host.krl),
            "observer": {"login": host.login},
            "login": host.login,
        },
    )
    return Role.objects.create(
        slug=f"{slug}-operator",
        target=target,
        name="operator",
        risk="medium",
        owner_group=Group.objects.get(slug="sre-managers"),
        max_duration_seconds=7200,
        config={"principals": ["web"], **role},
    )


def hold(
    role: Role, username: str = "rita", *, seconds: float = 600, record: str = "best_effort"
) -> Grant:
    """Return an ACTIVE grant of `username`, as its request and activation leave it."""
    now = clock.now()
    user = people.known_as(username)
    with transaction.atomic():
        request = ElevationRequest.objects.create(
            requester=user,
            role=role,
            ticket_system="local",
            ticket_key="OPS-1",
            ticket={},
            justification="The checkout times out.",
            duration_seconds=max(int(seconds), 10),
            granted_seconds=max(int(seconds), 10),
            state=RequestState.APPROVED.value,
            channel="web",
            ruling={"obligations": {"record": record}},
            break_glass=True,
            created_at=now,
            lapses_at=now + dt.timedelta(hours=1),
        )
        grant = elevation.create_grant(request=request, actor=CLOCK, now=now)
        elevation.begin_activation(
            grant=grant,
            duration_seconds=int(seconds),
            lease_until=now + dt.timedelta(seconds=5),
            actor=CLOCK,
            now=now,
        )
        elevation.finish_activation(grant=grant, credential=None, actor=CLOCK, now=now)
    grant.refresh_from_db()
    return grant


def password_for(grant: Grant, door: Door = Door.SSH) -> str:
    with transaction.atomic():
        return tokens.issue(grant=grant, door=door, now=clock.now())


def closed_session(seconds: float = 10) -> AccessSession:
    """Return the last session once it is over."""
    return until(
        lambda: AccessSession.objects.order_by("-opened_at").first(),
        lambda seen: seen is not None and seen.closed_at is not None,
        seconds=seconds,
    )


def events_of(gateway: RunningGateway, session: AccessSession) -> list[Event]:
    """Return what the spool holds of a closed session."""
    (path,) = gateway.spool.glob(f"*/{session.pk}.rec")
    return recorded.events(path)


def output_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if event.code == "o")


def facts_of(events: list[Event], kind: str) -> list[dict[str, Any]]:
    facts = [json.loads(event.text) for event in events if event.code == "m"]
    return [fact for fact in facts if fact["kind"] == kind]


@contextmanager
def gateway_in(folder: Path) -> Iterator[RunningGateway]:
    running = RunningGateway(folder)
    try:
        yield running
    finally:
        running.close()
