"""The certificate authority: who may log in where, for how long, and which hosts are ours.

The gateway of the sessions wing and the connector sign through it; nothing else holds its key.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import secrets
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    SSHCertificateBuilder,
    SSHCertificateType,
)

from jit.connectors.base import Context, Refused, Unreachable
from jit.connectors.secret_refs import SecretUnavailable
from jit.connectors.ssh import keys, scripts

if TYPE_CHECKING:
    from jit.connectors.ssh.config import SSHConfig, SSHRole

LONGEST = dt.timedelta(days=31)
"""No user certificate lives longer: the catalogue's own longest duration."""
LONGEST_FOR_GATEWAY = dt.timedelta(seconds=60)
"""A certificate of the gateway opens one connection, at once, and is good for nothing later."""
LONGEST_FOR_HOST = dt.timedelta(days=3650)
BACKDATED = dt.timedelta(seconds=30)
"""How long before now a certificate begins, so that a host whose clock is behind takes it."""

EXTENSIONS = frozenset(
    {
        "permit-agent-forwarding",
        "permit-port-forwarding",
        "permit-pty",
        "permit-user-rc",
        "permit-X11-forwarding",
    }
)
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}")


class Authority:
    """One Ed25519 key that hosts trust (`TrustedUserCAKeys`), or that signs hosts."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._key = private_key
        self.public_key = keys.public_line(private_key)
        self.fingerprint = keys.fingerprint(private_key)

    @classmethod
    def from_text(cls, text: str) -> Authority:
        """Return the authority of a private key's file content. Raises keys.NotAKey."""
        return cls(keys.read_private(text))

    @classmethod
    def of(cls, config: SSHConfig, context: Context | None = None) -> Authority:
        """Return a target's authority: its `ca`, read now.

        Raises Unreachable when the reference leads nowhere at the moment, Refused when there is
        no Ed25519 key behind it.
        """
        try:
            return cls.from_text((context or Context()).secret(config.ca).get_secret_value())
        except SecretUnavailable as missing:
            raise Unreachable(f"the CA's key: {missing}") from None
        except keys.NotAKey as wrong:
            raise Refused(f"the CA's key: {wrong}") from None

    def sign_user(
        self,
        *,
        public_key: str,
        key_id: str,
        principals: Sequence[str],
        now: dt.datetime,
        valid_before: dt.datetime | None = None,
        valid_for_seconds: float | None = None,
        extensions: Collection[str] = (),
        source_address: Sequence[str] = (),
        force_command: str | None = None,
        serial: int | None = None,
    ) -> str:
        """Return a user certificate's line for `public_key` (a line as in `id_ed25519.pub`).

        `key_id` is the grant's external name: what the KRL refuses and the host's log shows.
        The earlier of `valid_before` and `now + valid_for_seconds` ends it, rounded down to a
        second; one must be given. `extensions` are what it permits besides a plain command:
        nothing unless named (see EXTENSIONS). `source_address` holds addresses and networks
        that may use it. `serial` is drawn at random unless given.

        Raises Refused for what must not be signed: no principal (it would be good for every
        account), an end that has passed or is too far away, an unknown extension.
        """
        ends = [] if valid_before is None else [valid_before]
        if valid_for_seconds is not None:
            ends.append(now + dt.timedelta(seconds=valid_for_seconds))
        if not ends:
            raise Refused("a certificate needs an end")
        end = min(ends)
        if end > now + LONGEST:
            raise Refused(f"a certificate for longer than {LONGEST.days} days is not signed")
        if unknown := sorted(set(extensions) - EXTENSIONS):
            raise Refused(f"there are no extensions {', '.join(unknown)}")
        options: dict[bytes, bytes] = {}
        if force_command is not None:
            options[b"force-command"] = force_command.encode()
        if source_address:
            options[b"source-address"] = ",".join(map(_network, source_address)).encode()
        return self._sign(
            SSHCertificateType.USER,
            public_key=public_key,
            key_id=key_id,
            principals=principals,
            now=now,
            end=end,
            extensions=extensions,
            options=options,
            serial=serial,
        )

    def sign_for_gateway(
        self,
        *,
        public_key: str,
        external_name: str,
        role: SSHRole,
        ends_at: dt.datetime,
        now: dt.datetime,
        tag: str = "",
        source_address: Sequence[str] = (),
    ) -> str:
        """Return the certificate with which the gateway opens one connection of a grant.

        It lives for 60 s at most and never past the grant's end, permits what the role permits
        and no more, and bears the grant's external name, so that revoking the grant refuses it
        too. With the target's `tag` its forced command marks what it starts on the host with the
        grant's name, so that what a session left behind (`setsid nohup`) is found and ended with
        the grant; what was asked for runs as it would without. `source_address` should be the
        gateway's own. Raises Refused once `ends_at` passed.
        """
        return self.sign_user(
            public_key=public_key,
            key_id=external_name,
            principals=role.principals,
            now=now,
            valid_before=min(ends_at, now + LONGEST_FOR_GATEWAY),
            extensions=role.extensions,
            source_address=source_address,
            force_command=scripts.session(external_name, role, tag) if tag else None,
        )

    def sign_host(
        self,
        *,
        public_key: str,
        names: Sequence[str],
        now: dt.datetime,
        valid_for: dt.timedelta = dt.timedelta(days=365),
    ) -> str:
        """Return a host certificate's line for a host's public key, good under `names` (the
        names and addresses that clients connect to). Raises Refused.
        """
        if valid_for > LONGEST_FOR_HOST:
            raise Refused(f"a host certificate for over {LONGEST_FOR_HOST.days} days is not signed")
        return self._sign(
            SSHCertificateType.HOST,
            public_key=public_key,
            key_id=names[0] if names else "",
            principals=names,
            now=now,
            end=now + valid_for,
        )

    def _sign(
        self,
        kind: SSHCertificateType,
        *,
        public_key: str,
        key_id: str,
        principals: Sequence[str],
        now: dt.datetime,
        end: dt.datetime,
        extensions: Collection[str] = (),
        options: dict[bytes, bytes] | None = None,
        serial: int | None = None,
    ) -> str:
        if not key_id or not key_id.isprintable():
            raise Refused("a certificate without a key id could not be revoked or traced")
        if not principals:
            raise Refused("a certificate without principals would be good for every account")
        for name in principals:
            if not _PRINCIPAL.fullmatch(name):
                raise Refused(f"{name!r} can't be a principal")
        begins, ends = int((now - BACKDATED).timestamp()), int(end.timestamp())
        if ends <= now.timestamp():
            raise Refused("the end has passed, so no certificate is signed")
        try:
            subject = keys.read_public(public_key)
        except keys.NotAKey as wrong:
            raise Refused(f"the key to be certified: {wrong}") from None
        builder = (
            SSHCertificateBuilder()
            .public_key(subject)
            .serial(new_serial() if serial is None else serial)
            .type(kind)
            .key_id(key_id.encode())
            .valid_principals([name.encode() for name in principals])
            .valid_after(begins)
            .valid_before(ends)
        )
        for option, value in sorted((options or {}).items()):
            builder = builder.add_critical_option(option, value)
        for extension in sorted(set(extensions)):
            builder = builder.add_extension(extension.encode(), b"")
        return builder.sign(self._key).public_bytes().decode()


def new_serial() -> int:
    """Return a serial that no other certificate has: 63 random bits, never 0 (which a KRL
    can't name).
    """
    return secrets.randbits(63) | 1 << 62


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise Refused(f"{text!r} is no address or network") from None
