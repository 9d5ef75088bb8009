"""The way on: from the gateway to the host, with a certificate that lives for one connection."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections import defaultdict

import asyncssh

from jit.connectors.base import ConnectorError
from jit.connectors.ssh import scripts
from jit.connectors.ssh.authority import Authority
from jit.connectors.ssh.config import Host, SSHConfig, SSHRole
from jit.kernel import clock
from jit.kernel.errors import Conflict, DomainError
from sessions.gateways.ssh.negotiating import CIPHERS, MACS
from sessions.gateways.supervisor import SessionSupervisor
from sessions.operations.admission import Admission

type Keys = list[asyncssh.SSHKey]
type Connection = asyncssh.SSHClientConnection
AT_ONCE = 8
"""Log-ins under way at one host: fewer than sshd's MaxStartups lets in unanswered."""
KILLED_WITHIN = 0.5
"""Seconds that the host has to kill a program before its connection closes all the same."""
CLOSED_WITHIN = 0.3
"""Seconds in which a connection closes by itself before it is dropped."""


class HostUnreachable(DomainError):
    """The gateway could not log in on the host; the detail says why."""

    status = 503


class UnknownHost(DomainError):
    """The target has no host of that name."""

    status = 404


class SessionOver(Conflict):
    """The session has ended, so nothing more opens in it."""


class LogIns:
    """Lets no more than AT_ONCE log-ins of this process be under way at one host."""

    def __init__(self) -> None:
        self._turns: defaultdict[tuple[str, int], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(AT_ONCE)
        )

    def turn_at(self, host: Host) -> asyncio.Semaphore:
        return self._turns[host.where, host.port]


class Upstream:
    """One session's own connection to its host, made when it is first needed.

    No two sessions share one: the identity it was opened with is its session's grant, it ends
    with its session, and the host's limit of channels (MaxSessions) is never reached.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        host_name: str,
        supervisor: SessionSupervisor,
        log_ins: LogIns,
    ) -> None:
        self._admission = admission
        self._host_name = host_name
        self._supervisor = supervisor
        self._log_ins = log_ins
        self._making: asyncio.Task[Connection] | None = None
        self._over = False

    @property
    def is_open(self) -> bool:
        made = self._made
        return made is not None and not made.is_closed()

    async def connection(self, *, marked: bool = False) -> Connection:
        """Return the connection, a new one where the last one broke. Where it is to forward
        alone, it is `marked` on the host by a process that bears the grant's name.

        Raises HostUnreachable, UnknownHost and SessionOver, whose sentences are for the person.
        """
        if self._over:
            raise SessionOver("This session has ended.")
        if self._making is None or (self._making.done() and not self.is_open):
            self._making = self._supervisor.spawn(self._connect(marked=marked), awaited=True)
        try:
            return await asyncio.shield(self._making)
        except asyncio.CancelledError:
            if self._over:
                raise SessionOver("This session has ended.") from None
            raise

    async def close(self, *, kill: bool) -> None:
        """Close it, or give up making it; return once it is closed, in any case. With `kill`,
        what runs in its channels is killed first: a program without a terminal would run on.
        """
        self._over = True
        if self._making is None:
            return
        self._making.cancel()
        await asyncio.wait([self._making])
        made = self._made
        if made is None:
            return
        if kill:
            with contextlib.suppress(OSError, asyncssh.Error, TimeoutError):
                async with asyncio.timeout(KILLED_WITHIN):
                    await made.run(scripts.STOP)
        made.close()
        try:
            async with asyncio.timeout(CLOSED_WITHIN):
                await made.wait_closed()
        except TimeoutError:
            made.abort()

    def abort(self) -> None:
        """Drop it at once."""
        self._over = True
        if self._making is not None:
            self._making.cancel()
        if self._made is not None:
            self._made.abort()

    @property
    def _made(self) -> Connection | None:
        """Return the connection that was made last, however it is now."""
        task = self._making
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def _connect(self, *, marked: bool) -> Connection:
        config = SSHConfig.parse(self._admission.target_config)
        host = host_of(config, self._host_name)
        async with self._log_ins.turn_at(host):
            made = await connect(
                config=config, host=host, admission=self._admission, supervisor=self._supervisor
            )
        try:
            if marked:
                await made.create_session(lambda: _Mark(made), command=scripts.HOLD, encoding=None)
        except (OSError, asyncssh.Error) as refused:
            made.abort()
            raise HostUnreachable(
                f"{host.name} opens no session, which a forward needs beside it: {refused}."
            ) from refused
        except BaseException:
            made.abort()
            raise
        return made


class _Mark(asyncssh.SSHClientSession[bytes]):
    """A process with the grant's mark under a connection that runs nothing else: by it the host
    itself sees and ends the connection when the grant is revoked, whatever this gateway does.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncssh's signature
        self._connection.close()


def host_of(config: SSHConfig, name: str) -> Host:
    """Return the target's host of that name, its first where none is named."""
    for host in config.hosts:
        if not name or host.name == name:
            return host
    raise UnknownHost(
        f"There is no host {name[:80]!r} here; there are: "
        f"{', '.join(host.name for host in config.hosts)}."
    )


async def connect(
    *, config: SSHConfig, host: Host, admission: Admission, supervisor: SessionSupervisor
) -> Connection:
    """Return a connection to the host, logged in as the role's account.

    Raises HostUnreachable, whose sentence is for the person.
    """
    role = SSHRole.parse(admission.role_config)
    try:
        # The authority's key may be in the database.
        key, certificate = await supervisor.ask(
            _credential, config=config, role=role, admission=admission, now=clock.now()
        )
        return await asyncssh.connect(
            host.where,
            host.port,
            username=role.login_on(config),
            client_keys=[(key, certificate)],
            host_key_alias=host.name,
            known_hosts=_known(config, host),
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            compression_algs=None,
            preferred_auth="publickey",
            agent_path=None,
            config=None,
            connect_timeout=config.connect_timeout,
            login_timeout=config.connect_timeout,
            keepalive_interval=30,
        )
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as mismatch:
        raise HostUnreachable(
            f"{host.name} did not prove that it is {host.name}: {mismatch}. Nothing was sent to "
            "it; tell your operators."
        ) from mismatch
    except asyncssh.PermissionDenied as denied:
        raise HostUnreachable(
            f"{host.name} refused the gateway's certificate for {role.login_on(config)}; tell "
            "your operators (does it trust the authority, and is the principal in its file?)."
        ) from denied
    except ConnectorError as failure:
        raise HostUnreachable(f"No certificate for {host.name}: {failure}.") from failure
    except (OSError, asyncssh.Error, TimeoutError) as away:
        why = str(away) or type(away).__name__
        raise HostUnreachable(f"{host.name} can't be reached now: {why}. Try again.") from away


def _credential(
    *, config: SSHConfig, role: SSHRole, admission: Admission, now: dt.datetime
) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]:
    """Return a fresh key and its certificate, which ends with the grant or in a minute."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    line = Authority.of(config).sign_for_gateway(
        public_key=key.export_public_key().decode().strip(),
        external_name=admission.external_name,
        role=role,
        ends_at=admission.ends_at,
        now=now,
        tag=config.tag,
    )
    return key, asyncssh.import_certificate(line)


def _known(config: SSHConfig, host: Host) -> tuple[Keys, Keys, Keys]:
    """Return what the host may prove itself with: its pinned keys, or a certificate of ours."""
    return (
        [asyncssh.import_public_key(line) for line in host.host_keys],
        [asyncssh.import_public_key(line) for line in config.host_cas],
        [],
    )
