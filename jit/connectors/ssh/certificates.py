"""OpenSSH certificates read and checked (PROTOCOL.certkeys), whoever made them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import SSHCertificate, SSHCertificateType

from jit.connectors.ssh import keys
from jit.kernel import clock

LARGEST = 16384
"""Characters of a certificate's line; what is longer is not read."""


class BadCertificate(Exception):
    """The certificate opens nothing here; the message says why, for its holder."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says, once its signature was seen to be sound.

    `ca` and `public_key` are public lines. Nothing of it is trusted before `check`.
    """

    key_id: str
    serial: int
    principals: tuple[str, ...]
    valid_after: dt.datetime
    valid_before: dt.datetime
    public_key: str
    ca: str
    is_host: bool
    extensions: frozenset[str]
    critical_options: dict[str, str]

    def check(
        self,
        *,
        trusted: Collection[str],
        now: dt.datetime,
        principal: str = "",
        key_id: str = "",
        host: bool = False,
    ) -> None:
        """Refuse the certificate unless one of the CAs `trusted` (public lines) signed it, it is
        valid at `now` and, where they are given, bears this principal and this key id.

        Raises BadCertificate. Critical options (`source-address`, `force-command`) are for the
        caller to keep: see `critical_options`.
        """
        known = {keys.public_line(keys.read_public(line)) for line in trusted}
        if self.ca not in known:
            raise BadCertificate("It is signed by an authority that is not trusted here.")
        if self.is_host is not host:
            wanted, got = ("a host", "a user") if host else ("a user", "a host")
            raise BadCertificate(f"It is {got} certificate where {wanted} certificate is needed.")
        if now < self.valid_after:
            raise BadCertificate(f"It is not valid before {clock.utc_words(self.valid_after)}.")
        if now >= self.valid_before:
            raise BadCertificate(
                f"It expired at {clock.utc_words(self.valid_before)}; ask for a new one."
            )
        if not self.principals:
            raise BadCertificate("It names no principal, so it would be good for everybody.")
        if principal and principal not in self.principals:
            raise BadCertificate(f"It is not for {principal!r}.")
        if key_id and key_id != self.key_id:
            raise BadCertificate("It belongs to another grant.")


def read(line: str) -> Certificate:
    """Return what a certificate's line (`ssh-ed25519-cert-v01@openssh.com AAAA…`) says.

    Its signature is verified with the key it names itself, which `Certificate.check` compares
    with those that are trusted. Raises BadCertificate.
    """
    if len(line) > LARGEST:
        raise BadCertificate("It is too large to be one.")
    try:
        found = serialization.load_ssh_public_identity(line.strip().encode())
        if not isinstance(found, SSHCertificate):
            raise BadCertificate("It is a bare public key, no certificate.")
        found.verify_cert_signature()
        return Certificate(
            key_id=found.key_id.decode(),
            serial=found.serial,
            principals=tuple(name.decode() for name in found.valid_principals),
            valid_after=_moment(found.valid_after),
            valid_before=_moment(found.valid_before),
            public_key=_line(found.public_key()),
            ca=_line(found.signature_key()),
            is_host=found.type is SSHCertificateType.HOST,
            extensions=frozenset(name.decode() for name in found.extensions),
            critical_options={k.decode(): v.decode() for k, v in found.critical_options.items()},
        )
    except InvalidSignature:
        raise BadCertificate("Its signature is broken.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadCertificate("It can't be read as an OpenSSH certificate.") from None


def _line(key: object) -> str:
    if not isinstance(key, keys.PublicKey.__value__):
        raise BadCertificate("Its keys are of a kind that is not taken.")
    return keys.public_line(key)


def _moment(seconds: int) -> dt.datetime:
    """Return the moment; "for ever" (2**64 - 1) is as late as a datetime goes."""
    latest = int(dt.datetime.max.replace(tzinfo=dt.UTC, microsecond=0).timestamp()) - 86400
    return dt.datetime.fromtimestamp(min(seconds, latest), dt.UTC)
