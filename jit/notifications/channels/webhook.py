"""Outgoing webhooks, signed by Standard Webhooks (github.com/standard-webhooks, v1.0.0).

The `webhook-id` is the outbox row's and stays over all tries: the receiver drops what it knows.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from standardwebhooks.webhooks import Webhook as Signer

from jit.kernel import clock, crypto
from jit.notifications import wording
from jit.notifications.channels import addresses
from jit.notifications.channels.base import DeliveryFailed, Note
from jit.notifications.models import WebhookEndpoint

GONE = 410
"""The receiver wants nothing more (Standard Webhooks, "Deliverability and reliability")."""
TOO_MANY, UNAVAILABLE = 429, 503
LONGEST_WAIT = 3600.0
READ = 2000


class Webhook:
    def deliver(self, note: Note) -> str:
        """Post the note; return the receiver's status. Anything but 2xx is a failure, and a
        redirect is never followed.
        """
        if note.endpoint is None:
            raise DeliveryFailed("no endpoint to post to", permanent=True)
        body = json.dumps(content(note), separators=(",", ":"), sort_keys=True)
        headers = signed(note.endpoint, str(note.id), body, now=clock.now())
        status, wait = post(note.endpoint.url, body.encode(), headers)
        if 200 <= status < 300:  # noqa: PLR2004 -- RFC 9110, section 15.3
            return str(status)
        why = f"the receiver answered {status}"
        if status == GONE:
            raise DeliveryFailed(f"{why}: it wants nothing more", gone=True)
        if status in {TOO_MANY, UNAVAILABLE}:
            raise DeliveryFailed(why, retry_after=wait)
        raise DeliveryFailed(why)


def content(note: Note) -> dict[str, Any]:
    """Return what is posted: `type`, `timestamp` and `data`, as the standard recommends. A
    comment, which somebody may have written freely, stays in the house.
    """
    return {
        "type": f"jit.{note.kind}",
        "timestamp": clock.rfc3339(note.created_at),
        "data": {
            **{name: value for name, value in note.payload.items() if name != "comment"},
            "subject": {
                "type": note.subject.type,
                "id": note.subject.id,
                "label": note.subject.label,
            },
            "link": wording.link(note.payload),
        },
    }


def signed(
    endpoint: WebhookEndpoint, message_id: str, body: str, *, now: dt.datetime
) -> dict[str, str]:
    """Return the headers that prove who sends it. After a change of the secret both sign."""
    bound_to = WebhookEndpoint.address(endpoint.pk)
    sealed = [endpoint.sealed_secret]
    if endpoint.old_secret_until is not None and endpoint.old_secret_until > now:
        sealed += [endpoint.sealed_old_secret] if endpoint.sealed_old_secret else []
    try:
        secrets = [crypto.unseal(bytes(one), bound_to=bound_to).decode() for one in sealed]
    except crypto.SealBroken as broken:
        raise DeliveryFailed(f"the endpoint's secret: {broken}", permanent=True) from broken
    return {
        "Content-Type": "application/json",
        "User-Agent": "jit-webhooks/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(
            Signer(secret).sign(message_id, now.astimezone(dt.UTC), body) for secret in secrets
        ),
    }


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, float | None]:
    """Post and return (status, the seconds to wait that were asked for).

    Within `WEBHOOK_TIMEOUT` seconds in all, however slowly the other side drips. Raises
    DeliveryFailed when there is no answer.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    address = addresses.resolve(host, port)
    connection = _Connection(address, host, port, secure=secure)
    try:
        with _bounded(connection):
            connection.request("POST", target, body=body, headers=headers)
            answer = connection.getresponse()
            answer.read(READ)
            return answer.status, _seconds(answer.headers.get("Retry-After"))
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as failure:
        # Cutting a connection that is being read shows itself in any of these.
        why = f"no answer from {host}: {type(failure).__name__}"
        raise DeliveryFailed(why, lane_down=True) from failure
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """Connects to the address that was judged, in the name of the host that was asked for."""

    def __init__(self, address: str, host: str, port: int, *, secure: bool) -> None:
        super().__init__(host, port, timeout=settings.WEBHOOK_TIMEOUT)
        self._address = address
        self._secure = secure
        if secure:
            self.default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), timeout=self.timeout)
        self.sock = plain
        if self._secure:
            self.sock = _context().wrap_socket(plain, server_hostname=self.host)


def _context() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.WEBHOOK_CA_FILE or None)


@contextlib.contextmanager
def _bounded(connection: http.client.HTTPConnection) -> Iterator[None]:
    """Cut the connection when the time is over: a timeout of the socket counts from each byte.

    Raises TimeoutError if it was cut, since what came until then may look like an answer.
    """
    over = threading.Event()

    def cut() -> None:
        over.set()
        sock = connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(settings.WEBHOOK_TIMEOUT, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if over.is_set():
        raise TimeoutError


def _seconds(header: str | None) -> float | None:
    """Return `Retry-After` in seconds (RFC 9110, section 10.2.3), at most an hour."""
    if not header:
        return None
    if header.isascii() and header.isdecimal():
        return min(float(header[:9]), LONGEST_WAIT)
    try:
        at = email.utils.parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.UTC)
    return min(max((at - clock.now()).total_seconds(), 0.0), LONGEST_WAIT)
