"""A stranger can't tell a foreign object from one that does not exist, at any address."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from approvals import delegation
from jit.elevation import operations as elevation
from jit.elevation.models import ElevationRequest, Grant
from jit.identity import operations as identity
from jit.kernel import clock
from sessions.models import AccessSession
from sessions.operations import flagging
from tests.sessions import used
from tests.support import people
from tests.support.world import World

_PARAMETER = re.compile(r"<uuid:(\w+)>")
_PASSING = re.compile(
    r'"request_id": ?"[^"]*"|(?<=name="csrfmiddlewaretoken" value=")[^"]*|nonce="[^"]*"'
    r"|X-CSRFToken[^}]*|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|[0-9a-f]{32}"
)
SAY_NOTHING = {429, 500}
"""Answers that would be the same whatever there is."""
TYPED = {
    "reason": "Why not?", "comment": "Why not?", "answer": "flag", "decision": "approve",
    "ticket": "OPS-1", "name": "x", "otp": "123456", "code": "123456",
}  # fmt: skip
BODIES: tuple[dict[str, str], ...] = ({}, TYPED)


def addresses(resolver: Any = None, before: str = "/") -> Iterator[str]:
    """Yield every address of ours that names an object by its id, as the URL files write it."""
    for pattern in (resolver or get_resolver()).url_patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, path)
        elif isinstance(pattern, URLPattern) and _PARAMETER.search(path):
            yield path


@pytest.fixture
def foreign(world: World, db: None) -> dict[str, str]:
    """The ids of things that otto has no part in, by the parameter that names them."""
    grant = world.grant()
    session: AccessSession = used.opened(grant)
    now = clock.now()
    lent = delegation.delegate(
        delegator=world.user("ada"), delegate=world.user("bo"), starts_at=now,
        ends_at=now + delegation.LONGEST / 2, reason="Away.",
        actor=world.actor("ada"), now=now,
    )  # fmt: skip
    token, _ = identity.create_token(
        user=world.user("ada"), name="t", scopes=["read"], expires_at=now + delegation.LONGEST,
        actor=world.actor("ada"), now=now,
    )  # fmt: skip
    review = elevation.open_review(
        request=grant.request, due_at=now + delegation.LONGEST, actor=world.actor("ada"), now=now
    )
    flag = flagging.flag(
        session_id=session.pk, user=world.user("udo"), comment="Odd.", actor=world.actor("udo")
    )
    return {
        "request_id": str(grant.request_id),
        "grant_id": str(grant.pk),
        "session_id": str(session.pk),
        "delegation_id": str(lent.pk),
        "token_id": str(token.pk),
        "review_id": str(review.pk),
        "flag_id": str(flag.pk),
    }


def named(path: str, ids: dict[str, str]) -> str:
    return _PARAMETER.sub(lambda match: ids.get(match[1], str(uuid.uuid4())), path)


def said(answer: Any, ids: dict[str, str]) -> tuple[int, str]:
    """Return status and body, without what is of the question or of the moment: the ids that
    were asked for, the answer's own number, tokens of forms.
    """
    text = answer.content.decode(errors="replace")
    for each in ids.values():
        text = text.replace(each, "ID")
    return answer.status_code, _PASSING.sub("", text)


def answered(client: Client, method: str, path: str, body: dict[str, str], token: str) -> Any:
    api = path.startswith("/api/")
    return client.generic(
        method,
        path,
        json.dumps(body) if api else "&".join(f"{k}={v}" for k, v in body.items()),
        content_type="application/json" if api else "application/x-www-form-urlencoded",
        headers={"Authorization": f"Bearer {token}"} if api else {"HX-Request": "true"},
    )


class TestAStranger:
    def test_there_are_addresses_to_walk(self) -> None:
        assert len(list(addresses())) > 40

    def test_learns_at_no_address_whether_a_foreign_object_exists(
        self, world: World, foreign: dict[str, str]
    ) -> None:
        """Filing a ticket and ending a session looked at what was typed first."""
        otto = world.user("otto")
        token = people.token(otto)
        browser = people.signed_in(Client(raise_request_exception=False), otto)
        program = Client(raise_request_exception=False)
        told = []
        for path in addresses():
            missing = {name: str(uuid.uuid4()) for name in _PARAMETER.findall(path)}
            for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
                for body in BODIES[: 1 if method == "GET" else 2]:
                    cache.clear()  # A stranger who is slowed down is told nothing either.
                    client = program if path.startswith("/api/") else browser
                    there, nothing = (
                        answered(client, method, named(path, ids), body, token)
                        for ids in (foreign, missing)
                    )
                    seen = [said(there, foreign), said(nothing, missing)]
                    if seen[0] != seen[1] or there.status_code in SAY_NOTHING:
                        told.append((method, path, *seen))
        assert told == []
        assert Grant.objects.get(pk=foreign["grant_id"]).state == "ACTIVE"
        assert ElevationRequest.objects.get(pk=foreign["request_id"]).state == "APPROVED"
