"""The way on: from the gateway to the host, with a certificate that lives for one connection."""

from __future__ import annotations

import datetime as dt

import asyncssh

from jit.connectors.base import ConnectorError
from jit.connectors.ssh.authority import Authority
from jit.connectors.ssh.config import Host, SSHConfig, SSHRole
from jit.kernel import clock
from jit.kernel.errors import DomainError
from sessions.gateways.house import House
from sessions.operations.admission import Admission

type Keys = list[asyncssh.SSHKey]
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
"""AES-GCM alone: asyncssh makes three OpenSSL contexts a packet for ChaCha20."""


class HostUnreachable(DomainError):
    """The gateway could not log in on the host; the detail says why."""

    status = 503


class UnknownHost(DomainError):
    """The target has no host of that name."""

    status = 404


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
    *, admission: Admission, host_name: str, house: House
) -> asyncssh.SSHClientConnection:
    """Return a connection to the host, logged in as the role's account.

    Raises HostUnreachable and UnknownHost, whose sentences are for the person.
    """
    config = SSHConfig.parse(admission.target_config)
    role = SSHRole.parse(admission.role_config)
    host = host_of(config, host_name)
    try:
        # The authority's key may be in the database.
        key, certificate = await house.ask(
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
