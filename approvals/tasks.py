"""The chains' tasks, by name; each is safe to run twice or at once."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from approvals import escalation


@shared_task(name="approvals.look_again")
def look_again(step_id: str) -> None:
    escalation.look_again(UUID(step_id))


@shared_task(name="approvals.pager_changed")
def pager_changed(name: str) -> None:
    """Another person may have the pager of this service: ask anew in the steps that name it."""
    for step_id in escalation.steps_naming(f"oncall:{name}"):
        escalation.look_again(step_id)


@shared_task(name="approvals.group_changed")
def group_changed(slug: str) -> None:
    """Have the clock look at once at the steps that ask this group."""
    escalation.look_soon(f"group:{slug}")
