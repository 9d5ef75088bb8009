"""Coming in by the web terminal: a one-use password that no person ever sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction

from jit.elevation import queries as elevation
from jit.elevation.states import GrantState
from jit.identity.models import User
from jit.kernel import db
from jit.workflow.credential import CredentialNotActive, NotYourCredential
from sessions.operations import tokens
from sessions.states import Door


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the web process opens the gateway with."""

    role: str
    password: str = field(repr=False)


def enter(*, grant_id: UUID, user: User, source_address: str, client: str) -> Entry:
    """Return an entry through the door `web` for the holder of an ACTIVE grant.

    Raises NotYourCredential and CredentialNotActive; whether they may still open a session is
    the gateway's to ask.
    """
    with transaction.atomic():
        grant = elevation.lock_grant(grant_id)
        now = db.now()
        if grant.user_id != user.pk:
            raise NotYourCredential("A terminal opens for the person who asked for the grant only.")
        if grant.state != GrantState.ACTIVE or grant.ends_at is None or grant.ends_at <= now:
            raise CredentialNotActive(
                f"This grant is {grant.state}: a terminal opens only while it is ACTIVE."
            )
        password = tokens.issue(
            grant=grant,
            door=Door.WEB,
            now=now,
            source_address=source_address,
            client=client,
        )
        return Entry(role=grant.role.slug, password=password)
