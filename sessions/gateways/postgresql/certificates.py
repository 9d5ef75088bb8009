"""The gateway's own certificate: the operator's from files, or one of an authority made here."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

type PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

_AUTHORITY_DAYS, _CERTIFICATE_DAYS, _RENEW_DAYS = 3650, 397, 30
_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python does not name."""
CHAIN_IS_TOLD = hasattr(ssl.SSLObject, "get_verified_chain")
"""Since Python 3.13; before, a certificate that is over fails in the TLS, without a word."""
_LAG = dt.timedelta(minutes=5)
"""Certificates are valid a little before they are made: clocks differ."""


def context(*, certificate: Path, key: Path, client_authority: Path | None) -> ssl.SSLContext:
    """Return how the gateway speaks TLS; with `client_authority` clients may show certificates
    of theirs. Raises OSError (ssl.SSLError among them) for files that can't be used.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate, key)
    made.set_alpn_protocols(["postgresql"])
    if client_authority:
        made.load_verify_locations(client_authority)
        made.verify_mode = ssl.CERT_OPTIONAL
        if CHAIN_IS_TOLD:
            # Who comes with a certificate that is over is told so, not cut off in the TLS: the
            # module `client_certificates` looks at the times. And no session is taken up again
            # without its chain.
            made.verify_flags |= _NO_CHECK_TIME
            made.options |= ssl.OP_NO_TICKET
            made.num_tickets = 0
    return made


def der(certificate: Path) -> bytes:
    """Return the first certificate of a PEM file as DER."""
    found = x509.load_pem_x509_certificates(certificate.read_bytes())
    return found[0].public_bytes(serialization.Encoding.DER)


def ensure(folder: Path, *, names: Sequence[str], now: dt.datetime) -> tuple[Path, Path, Path]:
    """Return the authority's certificate, ours and our key, making whatever is missing, runs
    out soon, or is for other names. For installations without a PKI of their own.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority, authority_key = folder / "authority.pem", folder / "authority-key.pem"
    certificate, key = folder / "server.pem", folder / "server-key.pem"
    if not (authority.exists() and authority_key.exists()):
        _make_authority(authority, authority_key, now, name="JIT PostgreSQL gateway authority")
        certificate.unlink(missing_ok=True)
    if not (certificate.exists() and key.exists() and _still_fits(certificate, names, now)):
        _make_certificate(authority, authority_key, certificate, key, names=names, now=now)
    return authority, certificate, key


def ensure_clients(folder: Path, *, now: dt.datetime) -> tuple[Path, Path]:
    """Return the certificate and the key of the authority that certifies people's keys, made if
    they are missing. It signs no server.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate, key = folder / "clients.pem", folder / "clients-key.pem"
    if not (certificate.exists() and key.exists()):
        _make_authority(certificate, key, now, name="JIT PostgreSQL gateway clients")
    return certificate, key


def _make_authority(path: Path, key_path: Path, now: dt.datetime, *, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    called, ends_at = _named(name), now + dt.timedelta(days=_AUTHORITY_DAYS)
    made = (
        _builder(called, called, key.public_key(), now - _LAG, ends_at)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _pem(key))
    _write(path, made.public_bytes(serialization.Encoding.PEM))


def _make_certificate(
    authority: Path,
    authority_key: Path,
    path: Path,
    key_path: Path,
    *,
    names: Sequence[str],
    now: dt.datetime,
) -> None:
    issuer = x509.load_pem_x509_certificate(authority.read_bytes())
    signing = serialization.load_pem_private_key(authority_key.read_bytes(), None)
    if not isinstance(signing, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{authority_key} holds no key that we made")
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        leaf(
            name=names[0][:64],
            issuer=issuer,
            key=key.public_key(),
            begins_at=now - _LAG,
            ends_at=now + dt.timedelta(days=_CERTIFICATE_DAYS),
            purpose=ExtendedKeyUsageOID.SERVER_AUTH,
        )
        .add_extension(x509.SubjectAlternativeName(_general(names)), critical=False)
        .sign(signing, hashes.SHA256())
    )
    _write(key_path, _pem(key))
    _write(path, made.public_bytes(serialization.Encoding.PEM))


def leaf(
    *,
    name: str,
    issuer: x509.Certificate,
    key: PublicKey,
    begins_at: dt.datetime,
    ends_at: dt.datetime,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    """Return a certificate of one purpose that certifies nobody else, for its issuer to sign."""
    authority_key: Any = issuer.public_key()
    return (
        _builder(_named(name), issuer.subject, key, begins_at, ends_at)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False
        )
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PublicKey,
    begins_at: dt.datetime,
    ends_at: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins_at)
        .not_valid_after(ends_at)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _still_fits(path: Path, names: Sequence[str], now: dt.datetime) -> bool:
    try:
        there = x509.load_pem_x509_certificate(path.read_bytes())
        held = there.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    renewed = there.not_valid_after_utc - dt.timedelta(days=_RENEW_DAYS)
    return renewed > now and list(held) == _general(names)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.replace(path)  # Whole or not at all.
