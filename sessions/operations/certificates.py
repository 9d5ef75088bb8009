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
from jit.connectors.ssh import certificates as openssh
from jit.connectors.ssh.authority import Authority
from jit.connectors.ssh.config import SSHConfig
from jit.elevation import queries as elevation
from jit.elevation.models import Grant
from jit.elevation.states import GrantState
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import Actor
from jit.kernel.errors import DomainError
from jit.workflow.credential import CredentialNotActive, NotYourCredential, require_usable
from sessions import queries
from sessions.operations import admission, keys

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


@dataclass(frozen=True, slots=True)
class Recognised:
    """The grant of a certificate of ours; `refusal` says why it is not opened, empty: it is."""

    grant: Grant
    refusal: str


class Certifier(Protocol):
    """One kind of target's certificates, listed in CERTIFIERS by its dotted path. Reads the
    authority's key, so not inside a transaction. Raises UnusableKey and NoCertificatesHere.
    """

    def __call__(self, *, grant: Grant, public_key: str) -> Signing: ...


CERTIFIERS = {
    "postgresql": "sessions.gateways.postgresql.certifier.signing",
    "ssh": "sessions.operations.certificates.ssh_signing",
}


def certify(*, grant_id: UUID, user: User, public_key: str, actor: Actor) -> str:
    """Return a certificate for `public_key` that opens this grant at its gateway until its end,
    with the grant's external name as log-in name; for SSH its role's name does, too.

    Asks account, catalogue and policy again, so not inside a transaction. Raises
    NotYourCredential, CredentialNotActive, NoCredentialNow, UnusableKey, NoCertificatesHere.
    """
    grant = elevation.grants().get(pk=grant_id)
    _check(grant, user, db.now())
    require_usable(grant=grant, actor=actor)
    if grant.target.kind not in CERTIFIERS:
        raise NoCertificatesHere(f"{grant.target.slug} takes no certificates; use its credential.")
    certifier: Certifier = import_string(CERTIFIERS[grant.target.kind])
    signing = certifier(grant=grant, public_key=public_key)
    with transaction.atomic():
        grant = elevation.lock_grant(grant_id)
        now = db.now()
        ends_at = _check(grant, user, now)
        certificate = signing.sign(grant, now, ends_at)
        audit.record(
            action="session.certificate-signed",
            actor=actor,
            now=now,
            subject=audit.Subject(type="grant", id=str(grant.pk), label=str(grant)),
            body={"public_key": signing.public_key, "ends_at": ends_at},
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


def recognise(*, line: str, wanted: str) -> Recognised | None:
    """Return the grant that an SSH certificate's `line` was signed for, or None for what is no
    certificate of ours for the gateway. Raises nothing: an authority that can't be read is none.

    The certificate is known by its own facts: its target's authority signed it, and the grant's
    name is its key id and its only principal. The log-in name `wanted` is no principal, which
    hosts look at. It only has to mean this grant: by its name, its id, or its role.
    """
    try:
        found = openssh.read(line)
    except openssh.BadCertificate:
        return None
    grant = queries.grant_named(found.key_id)
    if grant is None or grant.target.kind != "ssh":
        return None
    name = grant.external_name
    if found.principals != (name,) or found.critical_options:
        return None  # Made for hosts.
    try:
        trusted = [Authority.of(SSHConfig.parse(grant.target.config)).public_key]
        # As of its first moment: that it is over is no reason not to know it.
        found.check(trusted=trusted, now=found.valid_after, principal=name, key_id=name)
    except (ConnectorError, DomainError, openssh.BadCertificate):
        return None
    return Recognised(grant, _why_refused(grant, found, trusted, wanted))


def _why_refused(grant: Grant, found: openssh.Certificate, trusted: list[str], wanted: str) -> str:
    now = db.now()
    if over := admission.why_over(grant, now):
        return over
    try:
        found.check(trusted=trusted, now=now)
    except openssh.BadCertificate as bad:
        return f"Your certificate can't be used now. {bad}"
    role, name = grant.role.slug, grant.external_name
    if wanted not in {role, name, str(grant.pk)}:
        return f"Your certificate opens {role} alone: log in as {role}, or as {name}."
    return ""


def _check(grant: Grant, user: User, now: dt.datetime) -> dt.datetime:
    """Return the end of a grant that `user` may use now."""
    if grant.user_id != user.pk:
        raise NotYourCredential("A certificate is for the person who asked for the grant only.")
    if grant.state != GrantState.ACTIVE:
        raise CredentialNotActive(
            f"This grant is {grant.state}: it can be used only while it is ACTIVE."
        )
    if grant.ends_at is None or grant.ends_at <= now:
        raise CredentialNotActive("This grant has ended.")
    return grant.ends_at
