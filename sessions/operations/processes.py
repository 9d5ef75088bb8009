"""Gateways come, are seen, and go; whoever left sessions behind has lost them."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable

from django.conf import settings
from django.db import transaction

from jit.kernel import db
from sessions import queries
from sessions.models import AccessSession, GatewayProcess
from sessions.operations import lifecycle
from sessions.operations.lifecycle import Closing
from sessions.states import OPEN, ClosedBecause

log = logging.getLogger(__name__)


def arrive(*, kind: str, name: str, address: str) -> GatewayProcess:
    """Register a gateway that starts at its place. What ran there before it is over: `name`
    is held by a lock on that machine, so that two never run at one place.
    """
    now = db.now()
    before = GatewayProcess.objects.filter(kind=kind, name=name, ended_at__isnull=True)
    for gone in before:
        _bury(gone, "the gateway was started anew")
    return GatewayProcess.objects.create(
        kind=kind, name=name, address=address, started_at=now, seen_at=now
    )


def beat(*, gateway: GatewayProcess) -> bool:
    """Note that the gateway lives; return False once it was given up, after which it must end
    all it has and register anew.
    """
    return bool(
        GatewayProcess.objects.filter(pk=gateway.pk, ended_at__isnull=True).update(seen_at=db.now())
    )


def leave(*, gateway: GatewayProcess) -> None:
    """Note that the gateway ended in order, its sessions closed."""
    _bury(gateway, "the gateway was stopped")


def bury_the_silent() -> int:
    """Give up gateways that were not seen for GATEWAY_LOST_AFTER seconds, and close their
    sessions as lost; return how many there were.

    A gateway that can't reach the database cuts its own sessions before that time is over
    (GATEWAY_FENCE), so that what is written here is true.
    """
    silent_since = db.now() - dt.timedelta(seconds=settings.GATEWAY_LOST_AFTER)
    silent = list(GatewayProcess.objects.filter(ended_at__isnull=True, seen_at__lt=silent_since))
    for gateway in silent:
        log.error("%s was not seen since %s: its sessions are lost", gateway, gateway.seen_at)
        _bury(gateway, "the gateway was lost")
    return len(silent)


def _bury(gateway: GatewayProcess, comment: str) -> None:
    with transaction.atomic():
        gone = GatewayProcess.objects.select_for_update().get(pk=gateway.pk)
        if gone.ended_at is None:
            GatewayProcess.objects.filter(pk=gone.pk).update(ended_at=db.now())
        left: Iterable[AccessSession] = queries.sessions().filter(gateway=gone, state__in=OPEN)
        lifecycle.close_many(
            closings=[
                Closing(session_id=session.pk, because=ClosedBecause.LOST, comment=comment)
                for session in left
            ],
            closed_at=gone.seen_at,
        )
