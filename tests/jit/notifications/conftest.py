"""People, a subject, and the servers that notifications go to."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings

from jit.audit.operations import Subject
from jit.identity.models import User
from jit.kernel import clock
from jit.notifications import operations
from jit.notifications.kinds import Kind
from jit.notifications.models import Notification, WebhookEndpoint
from tests.support import people, receivers

REQUEST_ID = "0190f5a0-0000-7000-8000-00000000000a"
SUBJECT = Subject(type="request", id=REQUEST_ID, label="request of rita")
PAYLOAD = {
    "request": REQUEST_ID,
    "requester": "rita",
    "role": "orders-db-writer",
    "target": "orders-db",
    "ticket": "OPS-1",
    "duration_seconds": 900,
}


@pytest.fixture
def ada(db: None) -> User:
    return people.person("ada", email="ada@example.com", timezone="Europe/Berlin")


@pytest.fixture
def bo(db: None) -> User:
    return people.person("bo", email="bo@example.com")


def tell(*recipients: User, **more: Any) -> int:
    """Tell these people that they are asked, or what `more` says."""
    values: dict[str, Any] = {
        "kind": Kind.ASKED,
        "subject": SUBJECT,
        "payload": PAYLOAD,
        "key": f"asked:{uuid.uuid4()}",
        "now": clock.now(),
    }
    return operations.notify(recipients=recipients, **(values | more))


def later(row: Notification, **back: float) -> None:
    """Let as much time pass for one row: what lies ahead of it comes that much nearer."""
    row.refresh_from_db()
    by = dt.timedelta(**back)
    row.next_try_at -= by
    row.expires_at -= by
    row.created_at -= by
    if row.lease_until:
        row.lease_until -= by
    row.save()


@pytest.fixture
def mailbox(settings: LazySettings) -> Iterator[receivers.Mailbox]:
    with receivers.mail_server() as box:
        settings.NOTIFICATION_CHANNELS = {
            "in_app": "jit.notifications.channels.in_app.InApp",
            "email": "jit.notifications.channels.email.Email",
        }
        settings.DEFAULT_FROM_EMAIL = "Access <jit@example.com>"
        settings.MAILERS = {
            "default": {
                "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
                "OPTIONS": {"host": box.host, "port": box.port, "timeout": 5},
            }
        }
        yield box


@pytest.fixture
def receiver(settings: LazySettings) -> Iterator[receivers.Receiver]:
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    settings.WEBHOOK_TIMEOUT = 1
    with receivers.webhook_receiver() as state:
        yield state


@pytest.fixture
def endpoint(db: None, receiver: receivers.Receiver) -> tuple[WebhookEndpoint, str]:
    return operations.create_endpoint(
        name="siem", url=receiver.url, kinds=[], actor=people.INSTALLER, now=clock.now()
    )
