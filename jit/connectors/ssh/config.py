"""What an SSH target and its roles are told in the catalogue."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from jit.connectors.base import Config
from jit.connectors.secret_refs import SecretRef
from jit.connectors.ssh.keys import PublicLine

EXTERNAL_NAME = re.compile(r"jit_[a-z0-9]{4,40}")
"""Names under which certificates are signed: a grant's."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\s\x00,]+$")]
Login = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")]
Principal = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}$", max_length=128)
]
Port = Annotated[int, Field(ge=1, le=65535)]
Path = Annotated[str, StringConstraints(pattern=r"^/[^\x00]+[^/\x00]$", max_length=1024)]


class Host(Config):
    """One machine of the target. `name` is what people call it and what its host certificate
    must bear; `address` is where we reach it, `public_address` and `public_port` where people
    do, if that differs. `host_keys` pins its host keys where it has no certificate.
    """

    name: Text
    address: Text | None = None
    port: Port = 22
    public_address: Text | None = None
    public_port: Port | None = None
    host_keys: tuple[PublicLine, ...] = ()

    @property
    def where(self) -> str:
        return self.address or self.name

    @property
    def is_local(self) -> bool:
        """Whether the way to it stays on this machine."""
        try:
            return self.where == "localhost" or ipaddress.ip_address(self.where).is_loopback
        except ValueError:
            return False


class Observer(Config):
    """The account on every host under which we look: unprivileged, with a shell, and with its
    principal in its principals file.
    """

    login: Login
    principal: Principal = "jit-observer"


class SSHConfig(Config):
    """A group of hosts that trust one certificate authority of ours.

    `ca` is a reference to its Ed25519 private key; `retired_cas` are public keys that hosts
    trust still (a rotation under way). `host_cas` sign the hosts' own keys; a host without such
    a certificate needs `host_keys`. `krl` is the file of revoked certificates: hosts read it
    itself, or fetch it by HTTP every `krl_refresh` seconds. `login` is who roles log in as
    unless they say otherwise.
    """

    hosts: Annotated[tuple[Host, ...], Field(min_length=1, max_length=200)]
    ca: SecretRef
    retired_cas: tuple[PublicLine, ...] = ()
    host_cas: tuple[PublicLine, ...] = ()
    krl: Path
    krl_refresh: Annotated[int, Field(ge=0, le=300)] = 0
    observer: Observer
    login: Login | None = None
    connect_timeout: Annotated[int, Field(ge=1, le=60)] = 5

    @model_validator(mode="after")
    def _sound(self) -> SSHConfig:
        names = [host.name for host in self.hosts]
        if len(set(names)) < len(names):
            raise ValueError("two hosts have one name")
        unknown = [host.name for host in self.hosts if not (self.host_cas or host.host_keys)]
        if unknown:
            raise ValueError(
                f"nothing says how {', '.join(unknown)} proves who it is: give host_cas, or "
                "the host's host_keys"
            )
        return self

    @property
    def tag(self) -> str:
        """What tells this target's sessions on a host from another target's there."""
        return hashlib.sha256(self.krl.encode()).hexdigest()[:12]


class Forward(Config):
    """Where a role may forward a local port to, as the host sees it."""

    host: Text
    port: Port


class SSHRole(Config):
    """What a person becomes: `login` on every host, by one of `principals`.

    Without `direct` there is no certificate to take away: the role is used through the gateway,
    which alone can hold a person to `exec` without `shell`, to single `forwards` (a direct
    certificate permits none), and to being recorded.
    """

    principals: Annotated[tuple[Principal, ...], Field(min_length=1, max_length=16)]
    login: Login | None = None
    shell: bool = True
    exec: bool = True
    sftp: bool = True
    forwards: Annotated[tuple[Forward, ...], Field(max_length=32)] = ()
    agent_forwarding: bool = False
    direct: bool = True
    record_stdin: Literal["digest", "text"] = "digest"
    """What a recording keeps of what programs without a terminal are fed."""

    @model_validator(mode="after")
    def _sound(self) -> SSHRole:
        if not (self.shell or self.exec or self.sftp or self.forwards):
            raise ValueError("allows nothing: set shell, exec, sftp or forwards")
        if self.direct and self.shell is not self.exec:
            raise ValueError(
                "shell and exec can't be told apart by a certificate: set both alike, or "
                "direct to false so that the gateway keeps them apart"
            )
        return self

    @property
    def extensions(self) -> frozenset[str]:
        """What the gateway's certificate of this role permits besides plain commands; that the
        forwards go only where the role says is the gateway's to keep.
        """
        wanted = {
            "permit-pty": self.shell,
            "permit-port-forwarding": bool(self.forwards),
            "permit-agent-forwarding": self.agent_forwarding,
        }
        return frozenset(name for name, given in wanted.items() if given)

    @property
    def direct_extensions(self) -> frozenset[str]:
        """What the person's own certificate permits: no forwarding of ports, since nothing in a
        certificate says whereto.
        """
        return self.extensions - {"permit-port-forwarding"}

    def login_on(self, target: SSHConfig) -> str:
        """Return the account that the role logs in to on this target's hosts."""
        return self.login or target.login or ""
