"""The endpoints of other programs: made, changed, and given up when nobody answers there."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction

from jit.audit import operations as audit
from jit.identity import queries as identity
from jit.identity.permissions import Permission
from jit.kernel import crypto
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, InvalidInput
from jit.kernel.ids import uuid7
from jit.notifications.channels import addresses
from jit.notifications.kinds import CHOOSABLE, Kind
from jit.notifications.models import Notification, Outcome, WebhookEndpoint
from jit.notifications.operations import outbox

OLD_SECRET_SIGNS_FOR = dt.timedelta(days=1)
SECRET_BYTES = 32
"""Standard Webhooks asks for 24 to 64 random bytes."""


class EndpointTaken(Conflict):
    """An endpoint of that name exists."""


def create_endpoint(
    *, name: str, url: str, kinds: Sequence[str], actor: Actor, now: dt.datetime
) -> tuple[WebhookEndpoint, str]:
    """Return the endpoint and its secret (`whsec_…`), which can't be read again.

    Raises InvalidInput and EndpointTaken.
    """
    _check(name=name, url=url, kinds=kinds)
    endpoint = WebhookEndpoint(
        id=uuid7(), name=name.strip(), url=url, kinds=sorted(set(kinds)), created_at=now
    )
    secret = _new_secret()
    endpoint.sealed_secret = _seal(endpoint, secret)
    with transaction.atomic():
        _save(endpoint, insert=True)
        _record("webhook.created", endpoint, actor=actor, now=now, body=_told(endpoint))
    return endpoint, secret


def change_endpoint(
    *, endpoint: WebhookEndpoint, changes: Mapping[str, Any], actor: Actor, now: dt.datetime
) -> WebhookEndpoint:
    """Change name, url, kinds or enabled. Enabling one that was given up starts it afresh.

    Raises InvalidInput and EndpointTaken.
    """
    before = _told(endpoint)
    endpoint.name = str(changes.get("name", endpoint.name)).strip()
    endpoint.url = str(changes.get("url", endpoint.url))
    endpoint.kinds = sorted(set(changes.get("kinds", endpoint.kinds)))
    _check(name=endpoint.name, url=endpoint.url, kinds=endpoint.kinds)
    enabled = bool(changes.get("enabled", endpoint.enabled))
    if enabled and not endpoint.enabled:
        endpoint.failing_since = endpoint.disabled_at = None
        endpoint.disabled_reason = ""
    endpoint.enabled = enabled
    with transaction.atomic():
        _save(endpoint)
        if not enabled:
            _settle_waiting(endpoint, why="the endpoint was disabled", now=now)
        body = {"before": before, "after": _told(endpoint)}
        _record("webhook.changed", endpoint, actor=actor, now=now, body=body)
    return endpoint


def rotate_secret(*, endpoint: WebhookEndpoint, actor: Actor, now: dt.datetime) -> str:
    """Return a new secret; for a day the old one signs too, so that nothing is refused
    meanwhile.
    """
    secret = _new_secret()
    endpoint.sealed_old_secret = endpoint.sealed_secret
    endpoint.old_secret_until = now + OLD_SECRET_SIGNS_FOR
    endpoint.sealed_secret = _seal(endpoint, secret)
    with transaction.atomic():
        endpoint.save()
        _record("webhook.secret-rotated", endpoint, actor=actor, now=now, body={})
    return secret


def remove_endpoint(*, endpoint: WebhookEndpoint, actor: Actor, now: dt.datetime) -> None:
    """Take the endpoint away for good; its history stays, its secrets do not."""
    endpoint.enabled = False
    endpoint.removed_at = now
    endpoint.sealed_secret = b""
    endpoint.sealed_old_secret = None
    with transaction.atomic():
        endpoint.save()
        _settle_waiting(endpoint, why="the endpoint was removed", now=now)
        _record("webhook.removed", endpoint, actor=actor, now=now, body=_told(endpoint))


def disable_endpoint(
    *, endpoint: WebhookEndpoint, why: str, actor: Actor, now: dt.datetime
) -> bool:
    """Give the endpoint up and tell the operators; return whether it was still enabled."""
    with transaction.atomic():
        fresh = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        if not fresh.enabled:
            return False
        fresh.enabled = False
        fresh.disabled_at = now
        fresh.disabled_reason = why[:300]
        fresh.save(update_fields=["enabled", "disabled_at", "disabled_reason"])
        _settle_waiting(fresh, why=why, now=now)
        _record("webhook.disabled", fresh, actor=actor, now=now, body={"why": why})
        outbox.notify(
            kind=Kind.WEBHOOK_DISABLED,
            recipients=identity.holders_of(Permission.OPERATIONS_READ),
            subject=subject_of(fresh),
            payload={"endpoint": fresh.name, "why": why},
            key=f"webhook-disabled:{fresh.pk}:{now.isoformat()}",
            now=now,
        )
    return True


def send_test(*, endpoint: WebhookEndpoint, now: dt.datetime) -> Notification:
    """Put a test message into the endpoint's lane and return it; enabled ones only."""
    if not endpoint.enabled:
        raise Conflict("This endpoint is disabled: enable it first.")
    with transaction.atomic():
        return outbox.write_test(endpoint=endpoint, subject=subject_of(endpoint), now=now)


def subject_of(endpoint: WebhookEndpoint) -> audit.Subject:
    return audit.Subject(type="webhook", id=str(endpoint.pk), label=endpoint.name)


def _save(endpoint: WebhookEndpoint, *, insert: bool = False) -> None:
    try:
        with transaction.atomic():
            endpoint.save(force_insert=insert)
    except IntegrityError:
        raise EndpointTaken(
            f"There is an endpoint called {endpoint.name} already: choose another name.",
            fields={"name": ["Taken."]},
        ) from None


def _check(*, name: str, url: str, kinds: Sequence[str]) -> None:
    if not name.strip() or len(name) > 100 or not name.isprintable():  # noqa: PLR2004 -- the column
        raise InvalidInput(
            "Give the endpoint a name of at most 100 printable characters.",
            fields={"name": ["1 to 100 printable characters."]},
        )
    unknown = set(kinds) - {kind.value for kind in CHOOSABLE}
    if unknown:
        raise InvalidInput(
            f"There is no kind {min(unknown)[:40]!r}.", fields={"kinds": ["Unknown."]}
        )
    addresses.check_url(url)


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _seal(endpoint: WebhookEndpoint, secret: str) -> bytes:
    return crypto.seal(secret.encode(), bound_to=WebhookEndpoint.address(endpoint.pk))


def _settle_waiting(endpoint: WebhookEndpoint, *, why: str, now: dt.datetime) -> None:
    Notification.objects.filter(endpoint=endpoint, outcome=Outcome.WAITING).update(
        outcome=Outcome.FAILED, reason=why[:500], settled_at=now, lease_until=None
    )


def _told(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Return what the log may know: of the address only its origin, since paths hold keys."""
    parts = urlsplit(endpoint.url)
    return {
        "name": endpoint.name,
        "origin": f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}",
        "kinds": list(endpoint.kinds),
        "enabled": endpoint.enabled,
    }


def _record(
    action: str, endpoint: WebhookEndpoint, *, actor: Actor, now: dt.datetime, body: dict[str, Any]
) -> None:
    audit.record(action=action, actor=actor, now=now, subject=subject_of(endpoint), body=body)
