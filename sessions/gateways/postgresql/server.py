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

from sessions.gateways.postgresql import door, doorstep, framing
from sessions.gateways.postgresql.cancelling import Keys
from sessions.gateways.postgresql.door import Door, Guest, Refusal
from sessions.gateways.postgresql.doorstep import Opened
from sessions.gateways.postgresql.framing import Malformed
from sessions.gateways.postgresql.link import Gone, Link
from sessions.gateways.postgresql.parts import House, NotLetIn, Tape
from sessions.gateways.postgresql.relay import Budget
from sessions.gateways.postgresql.session import Session
from sessions.gateways.postgresql.upstream import Backend

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


class Gateway:
    """One listening socket and all that came in through it."""

    def __init__(
        self,
        *,
        house: House,
        tls: ssl.SSLContext,
        certificate: bytes,
        plaintext_on_loopback: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self._house = house
        self._tls = tls
        self._limits = limits or Limits()
        self._plaintext_on_loopback = plaintext_on_loopback
        self._door = Door(house=house, certificate=certificate)
        self._keys = Keys()
        self._budget = Budget()
        self._strangers: Counter[str] = Counter()
        self._sessions: set[Session] = set()
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
            guest = await self._let_in(sock, source)
        except (Gone, Malformed, OSError, TimeoutError) as why:
            log.info("%s left at the door: %s", source, why or type(why).__name__)
            guest = None
        if guest is None:
            with contextlib.suppress(OSError):
                sock.close()  # Nobody's yet, or its transport's, which is closing too.
            return
        try:
            await self._session(guest)
        except Exception:
            log.exception("session %s", guest.admitted.session_id)
        finally:
            guest.link.abort()
            await guest.link.closed

    async def _let_in(self, sock: socket.socket, source: str) -> Guest | None:
        """Return who is to be served; everybody else has had their answer.

        Raises Gone, Malformed, OSError, TimeoutError.
        """
        if self._is_crowded(source):
            log.warning("turned %s away: too many are at the door", source)
            return None
        link: Link | None = None
        with self._counted(source):
            try:
                async with asyncio.timeout(self._limits.log_in_within):
                    _prepare(sock)
                    opened = await doorstep.receive(sock, self._tls)
                    link = opened.link
                    if isinstance(opened, Opened):
                        return await self._admit(opened, source)
                    await self._keys.cancel(opened.pid, opened.key)
                    await _say(link, b"")
            except Refusal as refusal:
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

    async def _admit(self, opened: Opened, source: str) -> Guest:
        self._check_room()
        plain = self._plaintext_on_loopback and _is_loopback(source)
        return await self._door.admit(opened, source=source, may_be_plain=plain)

    def _check_room(self) -> None:
        if len(self._sessions) >= self._limits.sessions:
            raise Refusal("53300", "The gateway has no room for another session; try again later.")

    async def _session(self, guest: Guest) -> None:
        """Record, connect on, relay, and see that all is closed afterwards."""
        admitted, house, link = guest.admitted, self._house, guest.link
        because, comment, pid = "lost", "", 0
        tape: Tape | None = None
        backend: Backend | None = None
        session: Session | None = None

        def fail_recording(why: str) -> None:
            if session:
                session.fail_recording(why)

        try:
            tape = house.record(admitted, fail_recording)
            backend, database = await door.connect(guest)
            session = Session(
                admitted=admitted,
                house=house,
                front=link,
                backend=backend,
                tape=tape,
                database=database,
                budget=self._budget,
            )
            self._sessions.add(session)
            pid, key = self._keys.give(session.cancel, version=guest.version)
            await house.enter(admitted, session)
            link.write(door.welcome(backend, key))
            because = await session.run()
            comment = session.comment
        except NotLetIn as said:
            comment = str(said)
            link.write(framing.error(severity="FATAL", code="58000", text=comment))
        except Refusal as refusal:
            comment = str(refusal)
            link.write(refusal.packet)
        except Exception:
            link.write(_OUT_OF_ORDER)
            raise
        finally:
            self._keys.take_back(pid)
            if session:
                self._sessions.discard(session)
            if backend:
                backend.link.abort()
            link.close()
            await house.leave(admitted, tape, because, comment)
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
