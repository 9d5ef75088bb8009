"""Any other on-call system, by way of a small service that answers our signed questions.

The question is a POST whose body is signed by Standard Webhooks (github.com/standard-webhooks,
v1.0.0), so that the one who answers knows who asks, when, and that nobody altered it.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from uuid import uuid4

from requests.models import PreparedRequest
from standardwebhooks.webhooks import Webhook as Signer

from jit.kernel import clock
from jit.oncall.adapters import asking
from jit.oncall.adapters.base import Contact, Incident, OnCallPerson

SHORTEST_KEY = 24
"""Bytes (Standard Webhooks, "Signature scheme")."""
_SERVICE = re.compile(r"[A-Za-z0-9._:/-]{1,100}", re.ASCII)


class Http:
    """Asks `{"type": "on-call", "service": …}` and `{"type": "incidents", "service": …}`.

    Expects `{"service": …, "on_call": [{"username" or "email", "level", "until"}]}`, where
    `level` may be left out (1) and `until` be null, and `{"service": …, "incidents": [{"key",
    "acknowledged_by": [{"username" or "email"}]}]}`. The service is the one that was asked
    about, in the answer's own words: a mixed-up or stored answer is none. Settings: `url`;
    `secret` (`whsec_…`, 24 bytes or more); `levels`, how many escalation levels count.
    """

    def __init__(self, *, name: str, url: str, secret: str, levels: int = 1) -> None:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError as malformed:
            raise TypeError("secret must be base64, as whsec_…") from malformed
        if len(key) < SHORTEST_KEY:
            raise TypeError(f"secret must be whsec_… and {SHORTEST_KEY} bytes or more")
        if levels < 1:
            raise TypeError("levels must be 1 or more")
        self.name = name
        self.url = asking.checked(url)
        self._signer = Signer(secret)
        self._levels = levels

    def check(self, service: str) -> None:
        if not _SERVICE.fullmatch(service):
            raise ValueError(f"{service[:80]!r} has characters that a service's name has not")

    def concerns(self, service: str, thing: str) -> bool:
        return service == thing

    def _ask(self, question: str, service: str) -> dict[str, Any]:
        now = clock.now()
        body = json.dumps({"type": question, "service": service}, separators=(",", ":"))
        message_id = f"msg_{uuid4().hex}"

        def prove(request: PreparedRequest) -> PreparedRequest:
            request.headers["webhook-signature"] = self._signer.sign(message_id, now, body)
            return request

        found = asking.ask(
            self.name,
            "POST",
            self.url,
            prove=prove,
            headers={
                "Accept": "application/json",
                "Content-Type": "application/json",
                "webhook-id": message_id,
                "webhook-timestamp": str(int(now.timestamp())),
            },
            body=body.encode(),
        )
        # `more` is no word of ours; who says it has left something out.
        if found.get("service") != service or found.get("more"):
            raise asking.nonsense(self.name)
        return found

    def who_is_on_call(self, service: str) -> tuple[OnCallPerson, ...]:
        found = self._ask("on-call", service)
        now = clock.now()
        try:
            people = [_person(entry) for entry in asking.listed(found, "on_call")]
        except asking.UNREADABLE:
            raise asking.nonsense(self.name) from None
        return tuple(
            person
            for person in people
            if person.level <= self._levels and (person.until is None or person.until > now)
        )

    def incidents_of(self, service: str) -> tuple[Incident, ...]:
        found = self._ask("incidents", service)
        try:
            return tuple(
                Incident(
                    key=asking.word(entry["key"], longest=40),
                    acknowledged_by=tuple(
                        _contact(who) for who in asking.listed(entry, "acknowledged_by")
                    ),
                )
                for entry in asking.listed(found, "incidents")
            )
        except asking.UNREADABLE:
            raise asking.nonsense(self.name) from None


def _contact(entry: dict[str, Any]) -> Contact:
    username = asking.word_or_none(entry.get("username"))
    email = asking.word_or_none(entry.get("email")).lower()
    if not username and not email:
        raise ValueError("nobody is named")
    return Contact(username=username, email=email)


def _person(entry: dict[str, Any]) -> OnCallPerson:
    return OnCallPerson(
        contact=_contact(entry),
        level=asking.level(entry.get("level", 1)),
        until=asking.moment(entry.get("until")),
    )
