"""Certificates for people's keys: they open one grant as often as wanted, until its end.

The gateway takes a certificate of the client authority whose common name is a live grant's name
(`entry.authentication`, `admission_adapter`), and asks for every session whether the grant may
be used.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from jit.connectors import secret_refs
from jit.connectors.secret_refs import SecretUnavailable
from jit.elevation.models import Grant
from sessions.gateways.postgresql import certificates
from sessions.gateways.postgresql.certificates import PublicKey
from sessions.gateways.postgresql.offer import client_authority
from sessions.operations.certificates import NoCertificatesHere, Signing
from sessions.operations.keys import UnusableKey

type PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

SMALLEST_RSA = 2048
_BACKDATED = dt.timedelta(minutes=1)
"""How long before now a certificate begins, for a gateway whose clock is behind."""
_EXPECTED = (
    "Give the public key in PEM (openssl pkey -in jit.key -pubout), a certificate request in PEM "
    "(openssl req -new), or the key's DER in base64."
)


@dataclass(frozen=True, slots=True)
class ClientAuthority:
    certificate: x509.Certificate
    key: PrivateKey


def signing(*, grant: Grant, public_key: str) -> Signing:
    """Return what certifies a person's key. Raises UnusableKey and NoCertificatesHere."""
    key = read(public_key)
    authority = _authority(grant)
    plain = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()

    def sign(grant: Grant, now: dt.datetime, ends_at: dt.datetime) -> str:
        return _certificate(authority, key, grant.external_name, now, ends_at)

    return Signing(plain, sign)


def read(text: str) -> PublicKey:
    """Return the public key of a PEM, of a certificate request (whose own signature is
    checked), or of DER in base64. Raises UnusableKey.
    """
    given = text.strip()
    key: object
    try:
        if "BEGIN CERTIFICATE REQUEST" in given or "BEGIN NEW CERTIFICATE REQUEST" in given:
            wish = x509.load_pem_x509_csr(given.encode())
            if not wish.is_signature_valid:
                raise UnusableKey("The request is not signed by its own key: make it anew.")
            key = wish.public_key()
        elif given.startswith("-----BEGIN"):
            key = serialization.load_pem_public_key(given.encode())
        else:
            key = serialization.load_der_public_key(base64.b64decode(given, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        raise UnusableKey(f"This is no public key. {_EXPECTED}") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < SMALLEST_RSA:
        raise UnusableKey(f"An RSA key needs {SMALLEST_RSA} bits at least.")
    if not isinstance(key, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, rsa.RSAPublicKey)):
        raise UnusableKey("ECDSA, Ed25519 and RSA keys are taken.")
    return key


def _authority(grant: Grant) -> ClientAuthority:
    found = client_authority()
    if found is None or not found[1]:
        raise NoCertificatesHere(
            f"No certificates are signed for {grant.target.slug} here; use the grant's password. "
            "(Operators: JIT_POSTGRESQL_GATEWAY_CLIENT_AUTHORITY and …_CLIENT_KEY.)"
        )
    path, reference = found
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        opened = secret_refs.resolve(reference).get_secret_value()
        key = serialization.load_pem_private_key(opened.encode(), None)
    except (OSError, ValueError, TypeError, SecretUnavailable) as unusable:
        why = unusable if isinstance(unusable, SecretUnavailable) else type(unusable).__name__
        raise NoCertificatesHere(
            f"No certificate can be signed now: the client authority can't be read ({why})."
        ) from None
    if not isinstance(
        key, (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)
    ) or (key.public_key() != certificate.public_key()):
        raise NoCertificatesHere(
            "No certificate can be signed now: the client authority's key is not that of its "
            "certificate."
        )
    return ClientAuthority(certificate, key)


def _certificate(
    authority: ClientAuthority, key: PublicKey, name: str, now: dt.datetime, ends_at: dt.datetime
) -> str:
    """Return the certificate in PEM; its end is a whole second, never after the grant's."""
    end = min(ends_at, authority.certificate.not_valid_after_utc).replace(microsecond=0)
    made = certificates.leaf(
        name=name,
        issuer=authority.certificate,
        key=key,
        begins_at=now - _BACKDATED,
        ends_at=end,
        purpose=ExtendedKeyUsageOID.CLIENT_AUTH,
    )
    digest = None if isinstance(authority.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return made.sign(authority.key, digest).public_bytes(serialization.Encoding.PEM).decode()
