"""What a PostgreSQL target and its roles are told in the catalogue."""

from __future__ import annotations

import ipaddress
import re
import shlex
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from jit.connectors.base import Config
from jit.connectors.secret_refs import SecretRef

MARK = "jit_"
"""Every role whose name starts so is ours to look at; our own standing roles must not."""
EXTERNAL_NAME = re.compile(r"jit_[a-z0-9]{4,40}")

Name = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[^\x00]+$")]


def _standing(name: str) -> str:
    if name.startswith((MARK, "pg_")):
        raise ValueError("may not start with jit_ (ephemeral roles) or pg_ (the server's own)")
    return name


RoleName = Annotated[Name, AfterValidator(_standing)]
Port = Annotated[int, Field(ge=1, le=65535)]
SslMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]


Host = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\s\x00,]+$")]


class Replica(Config):
    """A standby of the cluster that people may read on."""

    host: Host
    port: Port = 5432


class PostgreSQLConfig(Config):
    """A cluster and our service account on it.

    `allowed_roles` are the only roles that may ever be given. `public_host` and `public_port`
    are what people are told, where that differs from how we get there. `sslmode` defaults to
    `verify-full`, and to `prefer` on the loopback interface. `connect_timeout` is in seconds.
    `replicas` are the standbys that people may read on: their sessions end there, too.
    """

    host: Host
    port: Port = 5432
    replicas: tuple[Replica, ...] = ()
    database: Name = "postgres"
    user: RoleName
    password: SecretRef
    allowed_roles: Annotated[tuple[RoleName, ...], Field(min_length=1)]
    escrow_role: RoleName = "elevation_escrow"
    sslmode: SslMode | None = None
    sslrootcert: Annotated[str, StringConstraints(pattern=r"^(/.+|system)$")] | None = None
    require_auth: Literal["scram-sha-256", "md5", "any"] = "scram-sha-256"
    connect_timeout: Annotated[int, Field(ge=2, le=60)] = 5
    connection_limit: Annotated[int, Field(ge=1, le=100)] = 5
    public_host: str | None = None
    public_port: Port | None = None

    @model_validator(mode="after")
    def _apart(self) -> PostgreSQLConfig:
        if self.user in self.allowed_roles or self.escrow_role in self.allowed_roles:
            raise ValueError("the service account and the escrow role can't be given to people")
        return self

    @property
    def is_local(self) -> bool:
        """Whether the way to the target stays on this machine."""
        if self.host.startswith("/") or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def ssl(self) -> SslMode:
        return self.sslmode or ("prefer" if self.is_local else "verify-full")


class PostgreSQLRole(Config):
    """What a person becomes: a member of `member_of`. `databases` is where: the first is the
    one their credential names (the target's own database if none is given), and all of them are
    looked through for what a grant may have left behind. Without `direct` nobody is shown the
    target's own password: the role is used through the gateway.
    """

    member_of: RoleName
    databases: tuple[Name, ...] = ()
    direct: bool = True


def psql_line(
    *,
    host: str,
    port: int,
    database: str,
    user: str,
    ssl: str,
    options: str,
    authority: str = "",
    certificate: str = "",
    key: str = "",
) -> str:
    """Return the command that connects; psql asks for the password, so that it comes to stand
    neither in the shell's history nor in the process list. `authority` is the file (or
    `system`) of the certificates that the server's own is checked with; `certificate` and `key`
    are files of one's own, which stand in for a password.
    """
    parts = {"host": host, "port": str(port), "dbname": database, "user": user, "sslmode": ssl}
    if authority:
        parts["sslrootcert"] = authority
    if certificate:
        parts |= {"sslcert": certificate, "sslkey": key}
    if options:
        parts["options"] = options
    quoted = (f"{key}={_conninfo(value)}" for key, value in parts.items())
    conninfo = " ".join(quoted)
    if re.search(r"[\"$`\\!]", conninfo):
        return f"psql {shlex.quote(conninfo)}"
    return f'psql "{conninfo}"'


def _conninfo(value: str) -> str:
    if re.fullmatch(r"[\w./:-]+", value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
