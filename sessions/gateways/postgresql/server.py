"""Listens, lets in no more than there is room for, and carries each connection through its life."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sessions.gateways.interfaces import RecordingSink
from sessions.gateways.postgresql.entry import authentication, negotiation
from sessions.gateways.postgresql.entry.authentication import (
    AuthenticatedClient,
    Authenticator,
    ConnectionRejected,
)
from sessions.gateways.postgresql.entry.cancellation import CancelKeys
from sessions.gateways.postgresql.entry.negotiation import StartupRequest
from sessions.gateways.postgresql.interfaces import AccessRefused, SessionBroker
from sessions.gateways.postgresql.link import Gone, Link
from sessions.gateways.postgresql.protocol import framing
from sessions.gateways.postgresql.protocol.framing import Malformed
from sessions.gateways.postgresql.relay import MemoryBudget
from sessions.gateways.postgresql.session import ProxiedSession
from sessions.gateways.postgresql.upstream import BackendConnection

log = logging.getLogger(__name__)
_BACKLOG = 256
_BREATH = 0.1
_STOPS_WITHIN = 5.0
_OUT_OF_ORDER = framing.error(
    severity="FATAL",
    code="58000",
    text="The gateway could not open your session just now. Try again; your operators find why in "
    "its log.",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is let in at once, and how long anybody may take to prove who they are (s)."""

    sessions: int = 500
    strangers: int = 100
    strangers_from_one_address: int = 20
    log_in_within: float = 15.0


class PostgreSQLGateway:
    """One listening socket and all that came in through it."""

    def __init__(
        self,
        *,
        broker: SessionBroker,
        tls: ssl.SSLContext,
        certificate: bytes,
        plaintext_on_loopback: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._broker = broker
        self._tls = tls
        self._limits = limits or Limits()
        self._plaintext_on_loopback = plaintext_on_loopback
        self._authenticator = Authenticator(broker=broker, certificate=certificate)
        self._cancel_keys = CancelKeys()
        self._budget = MemoryBudget()
        self._strangers: Counter[str] = Counter()
        self._sessions: set[ProxiedSession] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, listening: socket.socket) -> None:
        """Take connections from a bound socket until cancelled; then end all sessions."""
        loop = asyncio.get_running_loop()
        listening.listen(_BACKLOG)
        listening.setblocking(False)
        try:
            while True:
                try:
                    sock, address = await loop.sock_accept(listening)
                except OSError:
                    log.exception("can't take connections for the moment")
                    await asyncio.sleep(_BREATH)
                    continue
                sock.setblocking(False)
                source = str(address[0]) if address else "local"
                task = loop.create_task(self._life(sock, source))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            said = "The gateway is being stopped. Connect again in a moment."
            await asyncio.gather(*(session.end("lost", said) for session in self._sessions))
            for task in list(self._tasks):
                task.cancel()
            if self._tasks:
                await asyncio.wait(list(self._tasks), timeout=_STOPS_WITHIN)

    async def _life(self, sock: socket.socket, source: str) -> None:
        """Carry one connection from its first byte to its last."""
        try:
            client = await self._let_in(sock, source)
        except (Gone, Malformed, OSError, TimeoutError) as why:
            log.info("%s left before its log-in: %s", source, why or type(why).__name__)
            client = None
        if client is None:
            with contextlib.suppress(OSError):
                sock.close()  # Nobody's yet, or its transport's, which is closing too.
            return
        try:
            await self._session(client)
        except Exception:
            log.exception("session %s", client.admitted.session_id)
        finally:
            client.link.abort()
            await client.link.closed

    async def _let_in(self, sock: socket.socket, source: str) -> AuthenticatedClient | None:
        """Return who is to be served; everybody else has had their answer.

        Raises Gone, Malformed, OSError, TimeoutError.
        """
        if self._is_crowded(source):
            log.warning("turned %s away: too many are logging in", source)
            return None
        link: Link | None = None
        with self._counted(source):
            try:
                async with asyncio.timeout(self._limits.log_in_within):
                    _prepare(sock)
                    request = await negotiation.receive(sock, self._tls)
                    link = request.link
                    if isinstance(request, StartupRequest):
                        return await self._admit(request, source)
                    await self._cancel_keys.cancel(request.pid, request.key)
                    await _say(link, b"")
            except ConnectionRejected as refusal:
                log.info("turned %s away: %s", source, refusal)
                await _say(link, refusal.packet)
            except (Gone, Malformed, OSError, TimeoutError):
                await _drop(link)
                raise
            except Exception:  # the database is away, say: nobody is let in unasked
                log.exception("could not ask about %s", source)
                await _say(link, _OUT_OF_ORDER)
            except BaseException:
                await _drop(link)
                raise
            return None

    def _is_crowded(self, source: str) -> bool:
        limits, strangers = self._limits, self._strangers
        return (
            strangers.total() >= limits.strangers
            or strangers[source] >= limits.strangers_from_one_address
        )

    @contextlib.contextmanager
    def _counted(self, source: str) -> Iterator[None]:
        self._strangers[source] += 1
        try:
            yield
        finally:
            self._strangers[source] -= 1
            if not self._strangers[source]:
                del self._strangers[source]

    async def _admit(self, request: StartupRequest, source: str) -> AuthenticatedClient:
        self._check_room()
        plain = self._plaintext_on_loopback and _is_loopback(source)
        return await self._authenticator.authenticate(request, source=source, may_be_plain=plain)

    def _check_room(self) -> None:
        if len(self._sessions) >= self._limits.sessions:
            raise ConnectionRejected(
                "53300", "The gateway has no room for another session; try again later."
            )

    async def _session(self, client: AuthenticatedClient) -> None:
        """Record, connect on, relay, and see that all is closed afterwards."""
        admitted, broker, link = client.admitted, self._broker, client.link
        because, comment, pid = "lost", "", 0
        recording: RecordingSink | None = None
        backend: BackendConnection | None = None
        session: ProxiedSession | None = None

        def fail_recording(why: str) -> None:
            if session:
                session.fail_recording(why)

        try:
            recording = broker.record(admitted, fail_recording)
            backend, database = await authentication.connect(client)
            session = ProxiedSession(
                admitted=admitted,
                broker=broker,
                front=link,
                backend=backend,
                recording=recording,
                database=database,
                budget=self._budget,
            )
            self._sessions.add(session)
            pid, key = self._cancel_keys.issue(session.cancel, version=client.version)
            await broker.enter(admitted, session)
            link.write(authentication.startup_complete(backend, key))
            because = await session.run()
            comment = session.comment
        except AccessRefused as said:
            comment = str(said)
            link.write(framing.error(severity="FATAL", code="58000", text=comment))
        except ConnectionRejected as refusal:
            comment = str(refusal)
            link.write(refusal.packet)
        except Exception:
            link.write(_OUT_OF_ORDER)
            raise
        finally:
            self._cancel_keys.revoke(pid)
            if session:
                self._sessions.discard(session)
            if backend:
                backend.link.abort()
            link.close()
            await broker.leave(admitted, recording, because, comment)
            if session:
                session.left.set()


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with contextlib.suppress(OSError):  # A unix socket has no such option.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def _say(link: Link | None, packet: bytes) -> None:
    """Send the last words and close."""
    if link:
        link.write(packet)
        link.close()
        await link.closed


async def _drop(link: Link | None) -> None:
    if link:
        link.abort()
        await link.closed


def _is_loopback(source: str) -> bool:
    try:
        return ipaddress.ip_address(source).is_loopback
    except ValueError:
        return source == "local"
