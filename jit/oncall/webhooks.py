"""What PagerDuty sends us: whether it is PagerDuty's, and what to look at again because of it.

A webhook is a hint and never evidence: nothing that it says of people or incidents is believed,
only that something about a service changed. It carries no time, so an old one can be sent
again; that makes us look once more, and find what is true by then.
<https://developer.pagerduty.com/docs/verifying-webhook-signatures>
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.cache import cache

from jit.kernel import tasks
from jit.oncall import queries
from jit.oncall.adapters import registry

log = logging.getLogger(__name__)

SYSTEM = "pagerduty"
REMEMBERED_SECONDS = 3 * 86400
"""PagerDuty repeats a delivery for two days at most."""
LONGEST_ID = 200
MOST_SIGNATURES = 10


def is_signed(*, body: bytes, header: str, secrets: Sequence[str]) -> bool:
    """Return whether one of the header's `v1=` signatures is that of `body` (HMAC-SHA256, hex)
    by one of `secrets`. Several stand there while the sender changes its secret.
    """
    given = [
        part.strip()[3:] for part in header.split(",", MOST_SIGNATURES) if part.strip()[:3] == "v1="
    ]
    expected = [hmac.new(one.encode(), body, hashlib.sha256).hexdigest() for one in secrets]
    return any(
        hmac.compare_digest(each.encode(), signature.encode("utf-8", "replace"))
        for each in expected
        for signature in given
    )


def take(body: bytes) -> str:
    """Look again at what a signed webhook is about; return what was done, in a word.

    Never raises: three answers other than 2xx and PagerDuty stops sending for a day.
    """
    try:
        event = json.loads(body)["event"]
        event_id = str(event["id"])[:LONGEST_ID]
    except (ValueError, TypeError, LookupError, RecursionError):
        return "not understood"
    try:
        if not _is_new(event_id):
            return "known"
        names = _names(set(_things(event)))
        if not names:
            return "not ours"
        queries.forget(names)
        for task in settings.ONCALL_CHANGED_TASKS:
            for name in names:
                tasks.enqueue_on_commit(task, name)
    except Exception:  # whoever asks next looks for themselves; a lost hint costs promptness
        log.exception("an on-call webhook could not be followed")
        return "failed"
    return "looked again"


def _is_new(event_id: str) -> bool:
    """Return whether the event comes for the first time. It counts as new where the cache is
    down: to look twice is harmless, not to look is not.
    """
    digest = hashlib.sha256(event_id.encode("utf-8", "replace")).hexdigest()
    try:
        return bool(cache.add(f"on-call-event:{digest}", 1, REMEMBERED_SECONDS))
    except Exception:  # noqa: BLE001 -- any failure of the cache is the same to us
        return True


def _things(event: Any) -> Iterator[str]:
    """Yield the ids of the service and the escalation policy that the event is about."""
    about = event.get("data") if isinstance(event, dict) else None
    if not isinstance(about, dict):
        return
    for thing in (about, about.get("service"), about.get("escalation_policy")):
        if isinstance(thing, dict) and isinstance(thing.get("id"), str):
            yield thing["id"]


def _names(things: set[str]) -> list[str]:
    return sorted(
        name
        for name, service in registry.services().items()
        if service.system.name == SYSTEM
        and any(service.system.concerns(service.reference, thing) for thing in things)
    )
