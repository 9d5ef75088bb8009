"""A person's key certified for the gateway: many sessions of one grant, until the grant's end.

For SSH the target's own authority signs, for a principal that no host knows (the grant's
external name): what opens the gateway's door opens no host beside it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from django.db import transaction
from django.utils.module_loading import import_string

from jit.audit import operations as audit
from jit.connectors.base import ConnectorError
from jit.connectors.ssh.authority import Authority
from jit.connectors.ssh.config import SSHConfig
from jit.elevation import queries as elevation
from jit.elevation.models import Grant
from jit.elevation.states import GrantState
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import Actor
from jit.kernel.errors import DomainError
from jit.workflow.credential import CredentialNotActive, NotYourCredential
from sessions.operations import keys

PERMITTED = ("permit-pty", "permit-port-forwarding")
"""What the role gives of it is judged by the gateway at every use."""


class NoCertificatesHere(DomainError):
    """The grant's target takes no certificates, or they can't be signed now."""

    status = 422


@dataclass(frozen=True, slots=True)
class Signing:
    """A key that may be certified: `public_key` as it is put on record, and what signs it for a
    grant, from now until the grant's end.
    """

    public_key: str
    sign: Callable[[Grant, dt.datetime, dt.datetime], str]


class Certifier(Protocol):
    """One kind of target's certificates, listed in CERTIFIERS by its dotted path. Reads the
    authority's key, so not inside a transaction. Raises UnusableKey and NoCertificatesHere.
    """

    def __call__(self, *, grant: Grant, public_key: str) -> Signing: ...


CERTIFIERS = {
    "postgresql": "sessions.gateways.postgresql.clients.signing",
    "ssh": "sessions.operations.certificates.ssh_signing",
}


def certify(*, grant_id: UUID, user: User, public_key: str, actor: Actor) -> str:
    """Return a certificate for `public_key` that opens this grant at its gateway, with the
    grant's external name as log-in name, until its end.

    Raises NotYourCredential, CredentialNotActive, UnusableKey, NoCertificatesHere.
    """
    grant = elevation.grants().get(pk=grant_id)
    if grant.target.kind not in CERTIFIERS:
        raise NoCertificatesHere(f"{grant.target.slug} takes no certificates; use its credential.")
    certifier: Certifier = import_string(CERTIFIERS[grant.target.kind])
    signing = certifier(grant=grant, public_key=public_key)
    with transaction.atomic():
        grant = elevation.lock_grant(grant_id)
        now = db.now()
        _check(grant, user)
        if grant.ends_at is None or grant.ends_at <= now:
            raise CredentialNotActive("This grant has ended.")
        certificate = signing.sign(grant, now, grant.ends_at)
        audit.record(
            action="session.certificate-signed",
            actor=actor,
            now=now,
            subject=audit.Subject(type="grant", id=str(grant.pk), label=str(grant)),
            body={"public_key": signing.public_key, "ends_at": grant.ends_at},
            request_id=grant.request_id,
            grant_id=grant.pk,
        )
    return certificate


def ssh_signing(*, grant: Grant, public_key: str) -> Signing:
    """Return what certifies a key for the SSH gateway."""
    line = keys.canonical(public_key)
    try:
        authority = Authority.of(SSHConfig.parse(grant.target.config))
    except ConnectorError as failure:
        raise NoCertificatesHere(f"No certificate can be signed now: {failure}.") from failure

    def sign(grant: Grant, now: dt.datetime, ends_at: dt.datetime) -> str:
        return authority.sign_user(
            public_key=line,
            key_id=grant.external_name,
            principals=[grant.external_name],
            now=now,
            valid_before=ends_at,
            extensions=PERMITTED,
        )

    return Signing(line, sign)


def is_trusted(*, external_name: str, ca: str) -> Grant | None:
    """Return the ACTIVE grant of this name if `ca` (a public line) is its target's authority,
    else None. Raises nothing: an authority that can't be read is none.
    """
    grant = (
        elevation.grants()
        .filter(external_name=external_name, state=GrantState.ACTIVE, target__kind="ssh")
        .first()
    )
    if grant is None:
        return None
    try:
        authority = Authority.of(SSHConfig.parse(grant.target.config))
    except (ConnectorError, DomainError):
        return None
    return grant if authority.public_key.split()[:2] == ca.split()[:2] else None


def _check(grant: Grant, user: User) -> None:
    if grant.user_id != user.pk:
        raise NotYourCredential("A certificate is for the person who asked for the grant only.")
    if grant.state != GrantState.ACTIVE:
        raise CredentialNotActive(
            f"This grant is {grant.state}: it can be used only while it is ACTIVE."
        )
