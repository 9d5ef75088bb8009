"""The SSH connector: what it promises, call by call."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    Unreachable,
)
from jit.connectors.ssh import ending, health, keys, scripts
from jit.connectors.ssh.authority import Authority
from jit.connectors.ssh.config import EXTERNAL_NAME, Host, SSHConfig, SSHRole
from jit.connectors.ssh.ledger import CANARY, Book, Ledger
from jit.connectors.ssh.wire import Answer, Door, Question, Wires
from jit.kernel import clock

LARGEST_SKEW = health.LARGEST_SKEW


class SSH(Connector):
    """A certificate `jit_<grant>` for each grant, valid until the grant's end, for the role's
    principals. The list of revoked ones refuses it before; every host is asked whether it does.

    Sessions are ended where they can be seen, which a person may prevent: hence the claim in
    `caps` is no. The gateway, which stands in the way of the connection, can.
    """

    kind = "ssh"
    closing: ClassVar[str] = (
        "set `direct: false` in its config, so that people come through the gateway alone"
    )
    caps: ClassVar[Caps] = Caps(
        target_holds_deadline=True,
        can_cut_sessions=False,
        separates_overlapping_grants=True,
        issues_credential=True,
    )
    config_model: ClassVar[type[Config]] = SSHConfig
    role_model: ClassVar[type[Config]] = SSHRole
    changeable_while_live: ClassVar[frozenset[str]] = frozenset(
        {"ca", "connect_timeout", "host_cas", "krl_refresh", "observer", "retired_cas"}
    )

    def __init__(self, config: Config, context: Context | None = None) -> None:
        if not isinstance(config, SSHConfig):
            raise InvalidConfig("This connector needs an SSH configuration.")
        super().__init__(config, context)
        self.config: SSHConfig = config
        self.ledger = Ledger(config.krl)

    def check_role(self, role_config: Mapping[str, Any]) -> None:
        self._role(role_config)

    def provision(self, spec: GrantSpec) -> Issued:
        role = self._role_to_give(spec)
        wires = self._wires()
        login = role.login_on(self.config)
        self.ledger.ensure()
        self._ask_hosts(wires, spec, login=login, principal=role.principals[0])
        serial = self.context.call(
            "write the ledger",
            lambda: self.ledger.issue(spec, login=login, principals=role.principals),
            abort=_nothing,
        )
        credential = self.context.call(
            "sign",
            lambda: self._credential(spec, role, wires.authority, serial),
            abort=_nothing,
        )
        return Issued(
            credential=credential,
            detail={
                "login": login,
                "principals": list(role.principals),
                "deadline": clock.rfc3339(spec.ends_at),
                "serial": str(serial),
                "ca": wires.authority.fingerprint,
                "direct": role.direct,
            },
        )

    def extend(self, spec: GrantSpec) -> None:
        """Let the next certificate end later. One that was handed out keeps its end: nothing
        lengthens a certificate, so its holder asks for a new one (docs/howto/connect-ssh.md).
        """
        _check_name(spec)
        self.context.call("write the ledger", lambda: self.ledger.extend(spec), abort=_nothing)

    def observe(self) -> list[Seen]:
        book = self.ledger.read()
        now = clock.now()
        open_now = self._open(book)
        seen = [
            Seen(
                external_name=name,
                deadline=entry.deadline,
                live_connections=open_now.get(name, _NONE).connections,
                usable=(entry.revoked_at is None and entry.deadline > now)
                or open_now.get(name, _NONE).processes > 0,
                detail={
                    "login": entry.login,
                    "grant": entry.grant,
                    "principal": entry.person,
                    "processes": open_now.get(name, _NONE).processes,
                },
            )
            for name, entry in book.entries.items()
            if entry.proven_at is None
        ]
        listed = {each.external_name for each in seen}
        seen += [
            Seen(
                external_name=name,
                deadline=None,
                live_connections=found.connections,
                detail={"processes": found.processes},
            )
            for name, found in open_now.items()
            if name not in listed
        ]
        return seen

    def revoke(self, specs: Sequence[GrantSpec]) -> list[Revoked | ConnectorError]:
        try:
            wires = self._wires()
        except ConnectorError as failure:
            return [failure for _ in specs]
        return ending.Endings(self.config, self.ledger, wires, specs).run()

    def cut(self, spec: GrantSpec) -> int:
        _check_name(spec)
        known = self.ledger.read().entries.get(spec.external_name)
        login, principal = self.config.observer.login, self.config.observer.principal
        if known and known.login:
            login, principal = known.login, known.principals[0]
        script = scripts.end([spec.external_name], self.config.tag)
        questions = [Question(Door(host, login, principal), script) for host in self.config.hosts]
        answers = _all(self._wires().ask("cut", questions))
        return sum(each.said.ended.get(spec.external_name, (0, 0))[0] for each in answers)

    def health(self) -> Health:
        try:
            wires = self._wires()
        except ConnectorError as failure:
            return health.without_authority(failure)
        return health.examine(self.config, self.ledger, wires)

    def is_direct(self, role_config: Mapping[str, Any]) -> bool:
        return self._role(role_config).direct

    def _wires(self) -> Wires:
        return Wires(self.config, Authority.of(self.config, self.context), self.context)

    def _role(self, role_config: Mapping[str, Any]) -> SSHRole:
        role = SSHRole.parse(role_config)
        if not role.login_on(self.config):
            said = "neither the role nor its target says which login it is for"
            raise InvalidConfig(said, fields={"login": [said]})
        return role

    def _role_to_give(self, spec: GrantSpec) -> SSHRole:
        _check_name(spec)
        if spec.ends_at <= clock.now():
            raise Refused(f"the end ({clock.rfc3339(spec.ends_at)}) has passed")
        try:
            return self._role(spec.role_config)
        except InvalidConfig as invalid:
            raise Refused(invalid.detail) from None

    def _ask_hosts(self, wires: Wires, spec: GrantSpec, *, login: str, principal: str) -> None:
        """See that every host knows the role, keeps our list, and has the right time; all of
        them, since a grant is for all and must end on all.
        """
        questions = [
            Question(Door(host, login, principal), scripts.clock_only(), (CANARY,))
            for host in self.config.hosts
        ]
        answers = _all(wires.ask("ask the hosts", questions))
        for host, answer in zip(self.config.hosts, answers, strict=True):
            if answer.accepted == CANARY:
                raise Unreachable(
                    f"{host.name} does not keep the list of revoked certificates, so nothing "
                    "given there could be taken back: see that RevokedKeys names it"
                )
            if answer.skew is None:
                continue
            if abs(answer.skew) > LARGEST_SKEW:
                raise Unreachable(
                    f"the clock of {host.name} is {answer.skew:+.1f} s off ours: set it right"
                )
            if spec.ends_at.timestamp() <= clock.now().timestamp() + answer.skew:
                raise Refused(f"the end has passed by the clock of {host.name}")

    def _open(self, book: Book) -> dict[str, _Open]:
        """Return what the hosts say is open under our mark, looked for as the observer and as
        every account that was given.
        """
        accounts = {
            entry.login: entry.principals[0] for entry in book.entries.values() if entry.login
        }
        accounts.setdefault(self.config.observer.login, self.config.observer.principal)
        doors = [
            Door(host, login, principal)
            for host in self.config.hosts
            for login, principal in sorted(accounts.items())
        ]
        script = scripts.look(self.config.tag)
        answers = self._wires().ask("look", [Question(door, script) for door in doors])
        found: dict[str, _Open] = {}
        for door, answer in zip(doors, answers, strict=True):
            if isinstance(answer, ConnectorError):
                if door.login == self.config.observer.login:
                    raise answer
                continue  # An account of the past may be gone from a host; its processes are, too.
            for name, (connections, processes) in answer.said.open.items():
                known = found.get(name, _NONE)
                found[name] = _Open(known.connections + connections, known.processes + processes)
        return found

    def _credential(
        self, spec: GrantSpec, role: SSHRole, authority: Authority, serial: int
    ) -> dict[str, str]:
        login, first = role.login_on(self.config), self.config.hosts[0]
        shown = {
            "host": first.public_address or first.where,
            "port": str(first.public_port or first.port),
            "user": login,
        }
        if not role.direct:
            return shown
        private = keys.new_private_key()
        certificate = authority.sign_user(
            public_key=keys.public_line(keys.read_private(private)),
            key_id=spec.external_name,
            principals=role.principals,
            now=clock.now(),
            valid_before=spec.ends_at,
            extensions=role.direct_extensions,
            force_command=scripts.session(spec.external_name, role, self.config.tag),
            serial=serial,
        )
        return {
            **shown,
            "private_key": private,
            "certificate": certificate,
            "known_hosts": _known_hosts(self.config),
            "ssh": _ssh_line(first, login, spec.external_name),
        }


@dataclass(frozen=True, slots=True)
class _Open:
    connections: int = 0
    processes: int = 0


_NONE = _Open()


def _nothing() -> None:
    """Stand in for ending a call that only touches local files."""


def _all(answers: Sequence[Answer | ConnectorError]) -> list[Answer]:
    for answer in answers:
        if isinstance(answer, ConnectorError):
            raise answer
    return [answer for answer in answers if isinstance(answer, Answer)]


def _check_name(spec: GrantSpec) -> None:
    if not EXTERNAL_NAME.fullmatch(spec.external_name):
        raise Refused(f"{spec.external_name!r} is no name of ours (jit_ and 4 to 40 of a-z, 0-9)")


def _known_hosts(config: SSHConfig) -> str:
    """Return the lines by which OpenSSH knows the target's hosts."""
    names = ",".join(host.name for host in config.hosts)
    lines = [f"@cert-authority {names} {line}" for line in config.host_cas]
    lines += [f"{host.name} {line}" for host in config.hosts for line in host.host_keys]
    return "\n".join(lines) + "\n"


def _ssh_line(host: Host, login: str, name: str) -> str:
    """Return the command that connects, given the three files under the grant's name."""
    where = host.public_address or host.where
    return shlex.join(
        [
            "ssh",
            "-i",
            name,
            "-o",
            f"CertificateFile={name}-cert.pub",
            "-o",
            f"UserKnownHostsFile={name}-known_hosts",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            f"HostKeyAlias={host.name}",
            "-p",
            str(host.public_port or host.port),
            f"{login}@{where}",
        ]
    )
