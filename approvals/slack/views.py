"""Slack's three addresses: read the bytes, check their signature, answer within three seconds."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.http.request import RawPostDataException
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from approvals.slack import config, payloads, receive, setup, signature
from jit.kernel import clock

log = logging.getLogger(__name__)

LARGEST = 256 * 1024
COALESCE = 0.03
"""Seconds between an acknowledgement and the task that acts on it."""

type Door = Callable[[HttpRequest], HttpResponse]


def _door(name: str, read: Callable[[bytes], Any]) -> Door:
    """Return the view of one address. No cookie counts here: the signature is who it is from."""

    @csrf_exempt
    @require_POST
    def view(request: HttpRequest) -> HttpResponse:
        found = config.current()
        if found is None:
            return HttpResponse(status=404)
        now = clock.now()
        try:
            if int(request.headers.get("Content-Length") or 0) > LARGEST:
                return HttpResponse(status=413)
            body = request.body
        except (ValueError, RawPostDataException):
            return HttpResponse(status=400)
        if len(body) > LARGEST:
            return HttpResponse(status=413)
        timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
        try:
            signature.check(
                body=body,
                timestamp=timestamp,
                signature=request.headers.get("X-Slack-Signature", ""),
                secrets=found.signing_secrets,
                now=now,
            )
        except signature.BadSignature as refusal:
            log.warning("Slack's %s: %s", name, refusal)
            setup.saw_signature(good=False, now=now)
            return HttpResponse(status=401)
        digest = signature.fingerprint(body=body, timestamp=timestamp)
        given = _work(name, read(body), digest)
        _hinter.soon()
        return JsonResponse(given) if given else HttpResponse(status=200)

    view.__name__ = name
    view.__doc__ = f"Slack's {name}."
    return view


class _Hinter:
    """Has the queued payloads worked off, a moment after they were acknowledged: many clicks at
    once cost one message to the broker, and none of them waits for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._about_to = False

    def soon(self) -> None:
        with self._lock:
            if self._about_to:
                return
            self._about_to = True
        timer = threading.Timer(COALESCE, self._hint)
        timer.daemon = True
        timer.start()

    def _hint(self) -> None:
        with self._lock:
            self._about_to = False
        payloads.hint()


_hinter = _Hinter()


def _work(name: str, payload: Any, digest: str) -> dict[str, Any]:
    now = clock.now()
    setup.saw_signature(good=True, now=now)
    return receive.answer(door=name, payload=payload, digest=digest, now=now)


def _form(body: bytes) -> dict[str, str]:
    return QueryDict(body).dict()


def _payload(body: bytes) -> Any:
    return _json(_form(body).get("payload", ""))


def _json(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


interactivity = _door(receive.INTERACTIVITY, _payload)
commands = _door(receive.COMMANDS, _form)
events = _door(receive.EVENTS, _json)
