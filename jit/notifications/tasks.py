"""Delivery by name and by the clock; each task is safe to run twice or at once."""

from __future__ import annotations

from celery import shared_task

from jit.notifications import delivering
from jit.notifications.operations import clearing


@shared_task(name="jit.notifications.deliver")
def deliver() -> None:
    """Send a worker to each lane in which something is due; find what a lost message left."""
    delivering.tidy()
    for lane in delivering.due_lanes():
        deliver_lane.apply_async(args=(lane,), expires=20)


@shared_task(name="jit.notifications.deliver_lane")
def deliver_lane(lane: str) -> None:
    delivering.deliver_lane(lane)


@shared_task(name="jit.notifications.clear_old")
def clear_old() -> None:
    clearing.clear_old()
