"""Grants in use: sessions opened, gone live and closed by the wing's own operations."""

from __future__ import annotations

from typing import Any

from jit.elevation.models import Grant
from sessions.models import AccessSession, GatewayProcess
from sessions.operations import admission, lifecycle, processes
from sessions.operations.lifecycle import Closing
from sessions.states import ClosedBecause, Door, Proof


def gateway() -> GatewayProcess:
    found = GatewayProcess.objects.filter(name="tests", ended_at__isnull=True).first()
    return found or processes.arrive(kind="postgresql", name="tests", address="127.0.0.1:1")


def caller(grant: Grant) -> admission.Caller:
    """Return the grant's holder as they come to the gateway with psql."""
    return admission.Caller(
        user=grant.user,
        door=Door.POSTGRESQL,
        proof=Proof.TOKEN,
        source_address="192.0.2.7",
        client="psql",
    )


def opened(grant: Grant, *, live: bool = True, **more: Any) -> AccessSession:
    """Return a session of the grant's holder under it, LIVE unless told otherwise."""
    admitted = admission.authorise(
        wanted=str(grant.pk), kind="postgresql", caller=caller(grant), gateway=gateway(), **more
    )
    if live:
        lifecycle.went_live(session_id=admitted.session_id)
    return AccessSession.objects.get(pk=admitted.session_id)


def closed(
    session: AccessSession,
    because: ClosedBecause = ClosedBecause.LOGOUT,
    comment: str = "",
    **more: Any,
) -> AccessSession:
    closing = Closing(
        session_id=session.pk, because=because, comment=comment, exit_status=0, **more
    )
    lifecycle.close_many(closings=[closing])
    session.refresh_from_db()
    return session
