"""Ask every target how it is, from time to time."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task
from django.db import transaction

from jit.catalog import operations, queries
from jit.catalog.models import Target
from jit.connectors import registry
from jit.kernel import clock
from jit.kernel.actor import CLOCK
from jit.kernel.errors import DomainError
from jit.kernel.tasks import enqueue_on_commit


@shared_task(name="jit.catalog.check_health")
def check_health() -> None:
    """Have each target asked in a task of its own: one that is slow delays no other."""
    with transaction.atomic():
        for target_id in queries.targets_to_look_at():
            enqueue_on_commit("jit.catalog.check_health_of", str(target_id), expires=30)


@shared_task(name="jit.catalog.check_health_of")
def check_health_of(target_id: str) -> None:
    """Ask one target, outside any transaction, and keep the answer."""
    target = Target.objects.filter(pk=UUID(target_id)).first()
    if target is None:
        return
    try:
        health = registry.connector_for(target.kind, target.config).health().as_json()
    except DomainError as refused:
        health = {"ok": False, "detail": refused.detail, "skew_seconds": None, "checks": []}
    operations.store_health(target=target, health=health, actor=CLOCK, now=clock.now())
