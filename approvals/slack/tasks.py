"""Slack's work by name; each is safe to run twice or at once."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from django.db import transaction

from approvals.slack import (
    app_home,
    asking,
    client,
    config,
    copies,
    delivery,
    events,
    interactions,
    payloads,
)
from jit.elevation import queries as elevation
from jit.identity import queries as identity
from jit.kernel import tasks
from jit.kernel.errors import DomainError

log = logging.getLogger(__name__)


@shared_task(name="approvals.slack.redraw")
def redraw(*request_ids: str) -> None:
    """Write the copies these requests should have and draw those that wait."""
    for request_id in request_ids:
        _replan(UUID(request_id), force=True)


@shared_task(name="approvals.slack.redraw_for")
def redraw_for(user_id: str) -> None:
    """Draw what a person sees anew: they linked or unlinked their Slack account."""
    user = identity.person(user_id)
    if user is None or config.current() is None:
        return
    for request_id in copies.concerning(user):
        _replan(request_id, force=True)
    home(user_id)


@shared_task(name="approvals.slack.deliver")
def deliver(message_id: str) -> None:
    delivery.deliver(UUID(message_id))


@shared_task(name="approvals.slack.act")
def act(payload_id: str) -> None:
    """Do what a click, a modal or an event asked for, once."""
    row = payloads.claim(UUID(payload_id))
    if row is None:
        return
    doers = {"ask": asking.work, "event": events.work}
    try:
        outcome = doers.get(row.body["action"], interactions.work)(row.body)
    except DomainError as refusal:
        outcome = refusal.code
    except client.Trouble as trouble:
        log.warning("Slack: %s is tried again: %s", row.kind, trouble)
        return
    payloads.done(row, outcome)


@shared_task(name="approvals.slack.act_due")
def act_due() -> None:
    """Have every queued payload worked off, each by a task of its own."""
    with transaction.atomic():
        for payload_id in payloads.due():
            tasks.enqueue_on_commit("approvals.slack.act", str(payload_id))


@shared_task(name="approvals.slack.home")
def home(user_id: str) -> None:
    """Draw somebody's App Home anew; a lost drawing is made good when they open it."""
    if config.current() is None:
        return
    try:
        app_home.redraw_by_id(user_id)
    except client.Trouble as trouble:
        log.info("an App Home was not redrawn: %s", trouble)


@shared_task(name="approvals.slack.sweep")
def sweep() -> None:
    """Do what a lost task, a killed worker or a silent Slack left undone."""
    if config.current() is None:
        return
    for payload_id in payloads.due():
        act(str(payload_id))
    for message_id in copies.due():
        delivery.deliver(message_id)


@shared_task(name="approvals.slack.watch")
def watch() -> None:
    """Find requests whose copies are out of date although no task said so."""
    if config.current() is None:
        return
    for request_id in copies.watched():
        _replan(request_id, force=False)
    payloads.forget_old()


def _replan(request_id: UUID, *, force: bool) -> None:
    if config.current() is None:
        return
    try:
        waiting = copies.plan(request_id=request_id, force=force)
    except elevation.UnknownRequest:
        return
    with transaction.atomic():
        for message_id in waiting:
            tasks.enqueue_on_commit("approvals.slack.deliver", str(message_id))
        if waiting and force:
            for user_id in copies.people_of(request_id):
                tasks.enqueue_on_commit("approvals.slack.home", str(user_id))
