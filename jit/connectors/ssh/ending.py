"""Grants on their way out: refused by the list first, then seen to be refused by every host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jit.connectors.base import (
    ConnectorError,
    GrantSpec,
    InvalidConfig,
    Refused,
    Revoked,
    Unreachable,
)
from jit.connectors.ssh import scripts
from jit.connectors.ssh.config import EXTERNAL_NAME, SSHConfig, SSHRole
from jit.connectors.ssh.ledger import Book, Ledger
from jit.connectors.ssh.wire import PROBE, Answer, Door, Question, ShutOut, Silent, Wires
from jit.kernel import clock

REFUSALS = 3
"""Certificates that must be refused within one connection: a host hardened to MaxAuthTries 4
takes the one after them still.
"""

MOST_NAMED = 20
"""Processes that the evidence names on each host, of those whose environment can't be read."""
CHUNKS_AT_ONCE = 8
"""Connections to each host in one call: together they answer well within its timeout."""


class StillOpen(Unreachable):
    """No new connection gets in, but one that is open could not be ended."""


@dataclass
class Ending:
    """One grant on its way out, and what is known of it."""

    spec: GrantSpec
    login: str = ""
    principal: str = ""
    answer: Revoked | ConnectorError | None = None
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[ConnectorError] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.spec.external_name

    @property
    def ended_something(self) -> bool:
        return any(h["connections_cut"] or h["processes_ended"] for h in self.hosts.values())

    def so_far(self) -> dict[str, Any]:
        """Return what is known of it by now, should this attempt come to no end."""
        hosts = self.hosts.values()
        return {
            "hosts": self.hosts,
            "connections_cut": sum(host["connections_cut"] for host in hosts),
            "processes_ended": sum(host["processes_ended"] for host in hosts),
        }


class Endings:
    """Grants that end together."""

    def __init__(
        self, config: SSHConfig, ledger: Ledger, wires: Wires, specs: Sequence[GrantSpec]
    ) -> None:
        self._config, self._ledger, self._wires = config, ledger, wires
        self._endings = [Ending(spec) for spec in specs]
        self._away: dict[str, ConnectorError] = {}

    def run(self) -> list[Revoked | ConnectorError]:
        """Return one answer for each, in their order; never raises a ConnectorError."""
        todo = []
        for ending in self._endings:
            if EXTERNAL_NAME.fullmatch(ending.name):
                todo.append(ending)
            else:
                ending.answer = Refused(f"{ending.name!r} is no name of ours")
        try:
            book = self._list(todo)
        except ConnectorError as failure:
            for ending in todo:
                ending.failures.append(failure)
            book = self._as_read()
        try:
            self._see(todo, book)
        except ConnectorError as failure:
            for ending in todo:
                if ending.answer is None:
                    ending.answer = type(failure)(failure.detail, evidence=ending.so_far())
        return [ending.answer or Unreachable("nothing was done") for ending in self._endings]

    def _list(self, todo: Sequence[Ending]) -> Book:
        specs = [ending.spec for ending in todo]
        return self._wires.context.call(
            "write the list", lambda: self._ledger.revoke(specs), abort=lambda: None
        )

    def _as_read(self) -> Book:
        """Return the book though it can't be written: what is open ends all the same."""
        try:
            return self._ledger.read()
        except ConnectorError:
            return Book()

    def _see(self, todo: Sequence[Ending], book: Book) -> None:
        by_account: dict[tuple[str, str], list[Ending]] = defaultdict(list)
        for ending in todo:
            ending.login, ending.principal = self._account(ending, book)
            by_account[ending.login, ending.principal].append(ending)
        chunks = [
            (chunk, login, principal)
            for (login, principal), endings in by_account.items()
            for chunk in _chunks(endings)
        ]
        for start in range(0, len(chunks), CHUNKS_AT_ONCE):
            self._prove(chunks[start : start + CHUNKS_AT_ONCE])
        proven = [ending for ending in todo if self._judge(ending, book)]
        if proven:
            self._ledger.proven([ending.name for ending in proven])

    def _account(self, ending: Ending, book: Book) -> tuple[str, str]:
        """Return as whom to look: the account that the grant was for, so that its processes can
        be seen and ended; the observer where nobody knows which that was.
        """
        try:
            role = SSHRole.parse(ending.spec.role_config)
            if login := role.login_on(self._config):
                return login, role.principals[0]
        except InvalidConfig:
            pass
        known = book.entries.get(ending.name)
        if known and known.login:
            return known.login, known.principals[0]
        return self._config.observer.login, self._config.observer.principal

    def _prove(self, chunks: Sequence[tuple[Sequence[Ending], str, str]]) -> None:
        """Offer each host certificates under the ended names, and then one that it must take,
        which ends what is still open and counts what is left. Where one of the former opens, what
        is open is ended all the same. A host that was found away is not asked again.
        """
        asked = [
            (chunk, Door(host, login, principal))
            for chunk, login, principal in chunks
            for host in self._config.hosts
            if host.name not in self._away
        ]
        answers = self._ask("see it refused", asked, refused=True)
        still = [
            one
            for one, answer in zip(asked, answers, strict=True)
            if isinstance(answer, Answer) and answer.accepted != PROBE
        ]
        self._ask("end what is open", still, refused=False)
        for (chunk, door), answer in zip(asked, answers, strict=True):
            if isinstance(answer, Unreachable) and not isinstance(answer, (ShutOut, Silent)):
                self._away[door.host.name] = answer
            for ending in chunk:
                if isinstance(answer, ConnectorError):
                    ending.failures.append(answer)
                else:
                    self._require_refused(ending, door.host.name, answer)
        for chunk, _login, _principal in chunks:
            for ending in chunk:
                unasked = [self._away[n] for n in self._away if n not in ending.hosts]
                ending.failures += [each for each in unasked if each not in ending.failures]

    def _ask(
        self, step: str, asked: Sequence[tuple[Sequence[Ending], Door]], *, refused: bool
    ) -> list[Answer | ConnectorError]:
        """Let the hosts end what is open of these, and note what each of them says as soon as it
        does: how much it ended is not seen again.
        """

        def heard(number: int, answer: Answer) -> None:
            if answer.accepted != PROBE:
                return
            chunk, door = asked[number]
            for ending in chunk:
                self._note(ending, door.host.name, answer)
            ended = [ending for ending in chunk if ending.ended_something]
            self._wires.context.remember({ending.name: ending.so_far() for ending in ended})

        questions = []
        for chunk, door in asked:
            names = tuple(ending.name for ending in chunk)
            script = scripts.end(names, self._config.tag)
            questions.append(Question(door, script, names if refused else ()))
        return self._wires.ask(step, questions, heard=heard) if questions else []

    def _require_refused(self, ending: Ending, host: str, answer: Answer) -> None:
        if answer.accepted == ending.name:
            ending.failures.append(Unreachable(self._takes_it_still(host, ending.name)))
        elif ending.name not in answer.refused:
            ending.failures.append(Unreachable(f"{host} was not asked about {ending.name}"))

    def _note(self, ending: Ending, host: str, answer: Answer) -> None:
        cut, ended = answer.said.ended.get(ending.name, (0, 0))
        left, processes = answer.said.open.get(ending.name, (0, 0))
        ending.hosts[host] = {
            "refused": ending.name in answer.refused,
            "took_another": answer.accepted == PROBE,
            "looked_as": ending.login if answer.said.looked else "",
            "connections_cut": cut,
            "processes_ended": ended,
            "connections_left": left,
            "processes_left": processes,
            "processes_unread": len(answer.said.unread),
            "unread": [f"{name} {pid}" for pid, name in answer.said.unread.items()][:MOST_NAMED],
        }
        if left or processes:
            ending.failures.append(
                StillOpen(
                    f"{host}: {processes} processes of {ending.name} run on; end them as root "
                    f"(grep -la {scripts.MARK}={ending.name}@ /proc/[0-9]*/environ)"
                )
            )

    def _takes_it_still(self, host: str, name: str) -> str:
        every = self._config.krl_refresh
        when = f"it fetches the list every {every} s" if every else "it should read the list itself"
        return f"{host} still takes certificates of {name}: {when}; see that RevokedKeys names it"

    def _judge(self, ending: Ending, book: Book) -> bool:
        hosts = ending.hosts.values()
        evidence = {
            "observed_at": clock.rfc3339(clock.now()),
            "krl_version": book.version,
            "certificates_taken": sum(not host["refused"] for host in hosts),
            "connections_found": sum(host["connections_left"] for host in hosts),
            "processes_unread": sum(host["processes_unread"] for host in hosts),
            **ending.so_far(),
        }
        unasked = [h.name for h in self._config.hosts if h.name not in ending.hosts]
        if unasked and not ending.failures:
            ending.failures.append(Unreachable(f"{', '.join(unasked)} was not asked"))
        if ending.failures:
            first = ending.failures[0]
            said = "; ".join(dict.fromkeys(str(failure) for failure in ending.failures))
            ending.answer = type(first)(said, evidence=evidence)
            return False
        ending.answer = Revoked(absent=True, evidence=evidence)
        return True


def _chunks(endings: Sequence[Ending]) -> Iterator[Sequence[Ending]]:
    for start in range(0, len(endings), REFUSALS):
        yield endings[start : start + REFUSALS]
