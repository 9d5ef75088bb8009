"""The certificate that a client shows in TLS: whose it is, and whether it may open anything."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from sessions.gateways.postgresql.certificates import CHAIN_IS_TOLD


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """The name in a certificate that a client proved to hold, and why it opens nothing now
    (empty where it may).
    """

    name: str
    over: str


def shown(tls: ssl.SSLObject, *, now: dt.datetime) -> ShownCertificate | None:
    """Return the client's certificate, whose signatures the TLS has verified, or None."""
    raw = tls.getpeercert(binary_form=True)
    if raw is None:
        return None
    own = x509.load_der_x509_certificate(raw)
    names = own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if len(names) == 1 else ""
    if not CHAIN_IS_TOLD:
        return ShownCertificate(name, "")  # The TLS has looked at the times.
    if now >= own.not_valid_after_utc:
        return ShownCertificate(
            name,
            f"Your certificate ended at {own.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC, as its "
            "grant was to. If the grant goes on, get a fresh certificate on its page; else ask "
            "again.",
        )
    chain = [x509.load_der_x509_certificate(each) for each in tls.get_verified_chain()]
    if not chain or not all(c.not_valid_before_utc <= now < c.not_valid_after_utc for c in chain):
        return ShownCertificate(
            name,
            "Your certificate, or the authority that signed it, is not valid now. Get a fresh "
            "one on your grant's page, or tell your operators.",
        )
    return ShownCertificate(name, "")
