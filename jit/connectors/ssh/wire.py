"""Connections to hosts: who they are, which certificates they take, and what they answer."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from jit.connectors.base import ConnectorError, Context, Refused, Unreachable
from jit.connectors.ssh import keys, scripts
from jit.connectors.ssh.authority import Authority
from jit.connectors.ssh.config import Host, SSHConfig
from jit.kernel import clock

AT_ONCE = 8
"""Connections open at one time: fewer than sshd's MaxStartups lets in unanswered."""
_CIPHERS = ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr"]
"""AES-CTR for hosts that have no AES-GCM; of what a host has, our first is taken."""
_IN_TIME = 0.9
"""The part of a call's time after which those that have not answered are given up."""
PROBE = "jit-probe"
"""The key id of what must be let in, where others must not."""
_PROBE_SECONDS = 30


class NotThatHost(Refused):
    """Somebody else answers at the host's address, or the host has a new key."""


class Silent(Unreachable):
    """The host lets us in, and its account then answers nothing."""


class ShutOut(Unreachable):
    """The host refuses even the certificate that must work, so its refusals prove nothing."""


@dataclass(frozen=True, slots=True)
class Door:
    """One account on one host."""

    host: Host
    login: str
    principal: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked at a door: certificates with the key ids `must_refuse` are offered first,
    then one that must be taken, which runs `script`. Where one of the former opens, nothing is.
    """

    door: Door
    script: str
    must_refuse: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """How a host answered. `refused` are the key ids it would not take; `accepted` the one that
    it took, whose forced command answered `said`. `skew` is its clock minus ours in seconds.
    """

    refused: tuple[str, ...]
    accepted: str
    said: scripts.Said = field(default_factory=scripts.Said)
    skew: float | None = None


class _Offering(asyncssh.SSHClient):
    """Offers its certificates one after the other, and remembers how far it came."""

    def __init__(self, offers: Sequence[tuple[str, asyncssh.SSHKeyPair]]) -> None:
        self._left = list(offers)
        self.offered: list[str] = []

    def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        if not self._left:
            return None
        name, pair = self._left.pop(0)
        self.offered.append(name)
        return pair


@dataclass(frozen=True)
class Wires:
    """The way to a target's hosts, through one door, with one authority."""

    config: SSHConfig
    authority: Authority
    context: Context

    def ask(
        self,
        step: str,
        questions: Sequence[Question],
        *,
        heard: Callable[[int, Answer], None] | None = None,
    ) -> list[Answer | ConnectorError]:
        """Return the answers, in order, all asked at once in one call; whoever does not answer in
        time spoils nobody else's. `heard` is told of each answer, by its question's number, while
        the others are still waited for, in the caller's own thread. Raises Unreachable when the
        call itself runs out of time.
        """
        told: queue.SimpleQueue[tuple[int, Answer] | None] = queue.SimpleQueue()
        patience = self.context.timeout_seconds
        in_time = patience * _IN_TIME

        async def all_of_them() -> list[Answer | ConnectorError]:
            few = asyncio.Semaphore(AT_ONCE)

            async def one(number: int, question: Question) -> Answer | ConnectorError:
                async with few:
                    try:
                        answer = await self._ask(question)
                    except ConnectorError as failure:
                        return failure
                told.put((number, answer))
                return answer

            asking = [asyncio.create_task(one(n, asked)) for n, asked in enumerate(questions)]
            try:
                _, late = await asyncio.wait(asking, timeout=in_time) if asking else ((), ())
            finally:
                for each in asking:
                    each.cancel()  # which does nothing to one that is done
                await asyncio.gather(*asking, return_exceptions=True)
            return [
                Silent(f"{asked.door.host.name}: no answer within {patience:g} s")
                if each in late and each.cancelled()
                else each.result()
                for each, asked in zip(asking, questions, strict=True)
            ]

        if heard is None:
            return _in_a_loop(self.context, step, all_of_them(), asyncio.run)
        hear = heard

        def listening[T](work: Coroutine[Any, Any, T]) -> T:
            with ThreadPoolExecutor(max_workers=1) as aside:
                asking = aside.submit(asyncio.run, work)
                asking.add_done_callback(lambda _: told.put(None))
                while (one := told.get()) is not None:
                    hear(*one)
                return asking.result()

        return _in_a_loop(self.context, step, all_of_them(), listening)

    async def _ask(self, question: Question) -> Answer:
        door = question.door
        offers = [
            *((name, self._certified(door, name, "true")) for name in question.must_refuse),
            (PROBE, self._certified(door, PROBE, question.script)),
        ]
        client = _Offering(offers)
        host = door.host
        where = host.name
        try:
            async with asyncio.timeout(self.config.connect_timeout):
                connection = await asyncssh.connect(
                    host.where,
                    host.port,
                    username=door.login,
                    client_factory=lambda: client,
                    client_keys=[],
                    agent_path=None,
                    config=None,
                    known_hosts=self._known(host),
                    host_key_alias=host.name,
                    encryption_algs=_CIPHERS,
                    preferred_auth="publickey",
                    login_timeout=self.config.connect_timeout,
                )
        except asyncssh.HostKeyNotVerifiable as wrong:
            raise NotThatHost(
                f"{where} is not who it should be ({wrong.reason}); if its key was changed on "
                "purpose, give it a certificate of the host CA or pin the new key"
            ) from None
        except asyncssh.PermissionDenied:
            raise ShutOut(
                f"{where} refuses {door.login} with the principal {door.principal}: look at its "
                "TrustedUserCAKeys, its AuthorizedPrincipalsFile, and whether its RevokedKeys "
                "file is there (manage.py ssh_trust prints them all)"
            ) from None
        except TimeoutError:
            raise Unreachable(
                f"{where} did not answer within {self.config.connect_timeout} s"
            ) from None
        except (OSError, asyncssh.Error) as failure:
            said = getattr(failure, "reason", "") or getattr(failure, "strerror", "") or failure
            raise Unreachable(f"{where}: {said}") from None
        try:
            *refused, accepted = client.offered
            if accepted != PROBE:
                return Answer(tuple(refused), accepted)
            said, skew = await _run(connection, where)
            return Answer(tuple(refused), accepted, said, skew)
        except asyncio.CancelledError:
            patience = self.context.timeout_seconds
            raise Silent(
                f"{where} lets {door.login} in, and no answer within {patience:g} s: see what the "
                "start files of its shell (.bashrc) wait for"
            ) from None
        finally:
            connection.abort()
            with contextlib.suppress(OSError, asyncssh.Error):
                await connection.wait_closed()

    def _certified(self, door: Door, key_id: str, script: str) -> asyncssh.SSHKeyPair:
        private = keys.new_private_key()
        line = self.authority.sign_user(
            public_key=keys.public_line(keys.read_private(private)),
            key_id=key_id,
            principals=[door.principal],
            now=clock.now(),
            valid_for_seconds=_PROBE_SECONDS,
            force_command=script,
        )
        key = asyncssh.import_private_key(private)
        # The first pair bears the certificate; the second, the bare key, would be one more try.
        return asyncssh.load_keypairs([(key, asyncssh.import_certificate(line))])[0]

    def _known(self, host: Host) -> tuple[list[Any], list[Any], list[Any]]:
        pinned = [asyncssh.import_public_key(line) for line in host.host_keys]
        cas = [asyncssh.import_public_key(line) for line in self.config.host_cas]
        return (pinned, cas, [])


async def _run(
    connection: asyncssh.SSHClientConnection, where: str
) -> tuple[scripts.Said, float | None]:
    """Let the forced command run; return what it said, and the host's clock minus ours, which is
    right to half the time that the answer took.
    """
    started, before = time.monotonic(), clock.now().timestamp()
    try:
        process = await connection.create_process("jit", encoding="utf-8", errors="replace")
        first = await process.stdout.readline()
        trip = time.monotonic() - started
        # `read` returns whatever has come; an answer that stops there may lack what is left open.
        rest = await _all_of(process.stdout)
    except (OSError, asyncssh.Error) as failure:
        raise Unreachable(f"{where} let us in and then: {failure}") from None
    said = scripts.understood(first + rest)
    skew = None if said.clock is None else round(said.clock - before - trip / 2, 3)
    return said, skew


async def _all_of(said: asyncssh.SSHReader[str]) -> str:
    """Return what comes until the end of it, or as much as is taken of an answer."""
    parts: list[str] = []
    while (left := scripts.LARGEST - sum(map(len, parts))) > 0 and (part := await said.read(left)):
        parts.append(part)
    return "".join(parts)


def _in_a_loop[T](
    context: Context,
    step: str,
    work: Coroutine[Any, Any, T],
    run: Callable[[Coroutine[Any, Any, T]], T],
) -> T:
    """Let `run` run `work` through the door, in an event loop that the door can end."""
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def watched() -> T:
        task = asyncio.current_task()
        if task is not None:
            running.append((asyncio.get_running_loop(), task))
        return await work

    def talk() -> T:
        try:
            return run(watched())
        except (asyncio.CancelledError, CancelledError):
            raise Unreachable(f"{step}: given up") from None

    def abort() -> None:
        for loop, task in running:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)

    try:
        return context.call(step, talk, abort=abort)
    finally:
        work.close()
