"""What can't be asked for is refused in words, and nothing of it is written."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.processes import WRITER, Running

NOBODYS = "01a1fcb8-3af0-7aa1-b1b8-2f56d3bb8f6e"
ASK: dict[str, Any] = {
    "role": WRITER,
    "ticket": "OPS-1",
    "justification": "The checkout times out.",
    "duration_seconds": 600,
}
BAD_ASKS = {
    "unknown-role": ({"role": "orders-db-owner"}, 422, "UnknownRole", None),
    "role-with-nul": ({"role": "orders\0db"}, 400, "InvalidInput", "role"),
    "role-as-number": ({"role": 7}, 400, "InvalidInput", "role"),
    "empty-role": ({"role": ""}, 400, "InvalidInput", "role"),
    "unknown-ticket": ({"ticket": "OPS-999999"}, 422, "TicketNotFound", None),
    "huge-ticket-number": ({"ticket": "OPS-" + "9" * 100}, 422, "NotATicketReference", "ticket"),
    "unknown-system": ({"ticket": "mars:OPS-1"}, 422, "UnknownTicketSystem", "ticket"),
    "closed-ticket": ({"ticket": "OPS-2"}, 422, "NotEligible", None),
    "blank-ticket": ({"ticket": "  "}, 422, "InvalidInput", "ticket"),
    "duration-zero": ({"duration_seconds": 0}, 400, "InvalidInput", "duration_seconds"),
    "duration-negative": ({"duration_seconds": -60}, 400, "InvalidInput", "duration_seconds"),
    "duration-text": ({"duration_seconds": "600"}, 400, "InvalidInput", "duration_seconds"),
    "duration-words": ({"duration_seconds": "an hour"}, 400, "InvalidInput", "duration_seconds"),
    "duration-fraction": ({"duration_seconds": 60.5}, 400, "InvalidInput", "duration_seconds"),
    "duration-true": ({"duration_seconds": True}, 400, "InvalidInput", "duration_seconds"),
    "duration-null": ({"duration_seconds": None}, 400, "InvalidInput", "duration_seconds"),
    "duration-too-long": ({"duration_seconds": 7201}, 422, "DurationTooLong", "duration_seconds"),
    "duration-enormous": ({"duration_seconds": 10**30}, 400, "InvalidInput", "duration_seconds"),
    "no-justification": ({"justification": ""}, 400, "InvalidInput", "justification"),
    "blank-justification": ({"justification": " \n "}, 422, "InvalidInput", "justification"),
    "nul-justification": ({"justification": "a\0b"}, 400, "InvalidInput", "justification"),
    "long-justification": ({"justification": "x" * 100_000}, 400, "InvalidInput", "justification"),
    "lone-surrogate": ({"justification": "\ud800"}, 400, "InvalidInput", "justification"),
    "start-without-zone": ({"starts_at": "tomorrow"}, 400, "InvalidInput", "starts_at"),
    "start-long-ago": ({"starts_at": "2001-01-01T00:00:00Z"}, 422, "InvalidInput", "starts_at"),
    "start-far-ahead": ({"starts_at": "2999-01-01T00:00:00Z"}, 422, "InvalidInput", "starts_at"),
    "extends-nobodys": ({"extends": NOBODYS}, 404, "UnknownGrant", None),
    "extends-no-id": ({"extends": "the last one"}, 400, "InvalidInput", "extends"),
}
BAD_BODIES = {
    "cut-off": ('{"role": "orders', 400),
    "a-list": ("[]", 400),
    "a-number": ("7", 400),
    "null": ("null", 400),
    "nothing": ("", 400),
    "not-utf8": (b'{"role": "\xff"}', 400),
    "deep": ("[" * 100_000, 400),
    "huge": ('{"role": "' + "x" * 2_000_000 + '"}', 413),
}


def problem(answer: Any, status: int) -> Any:
    """Return the problem document (RFC 9457), after checking what every one of them has."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"]
    assert body["type"] == f"urn:jit:problem:{body['code']}"
    assert body["title"]
    assert len(body["detail"]) > 10, body
    assert body["request_id"]
    assert not re.search(r"Traceback|psycopg|django", answer.text)
    return body


@pytest.fixture(scope="module")
def jit(running: Running) -> Running:
    """One clear start for all of these: none of them leaves anything behind."""
    running.clear()
    return running


class TestAsk:
    @pytest.mark.parametrize("case", BAD_ASKS)
    def test_refuses(self, jit: Running, case: str) -> None:
        wrong, status, code, field = BAD_ASKS[case]
        before = jit.count()
        body = problem(jit.rita.post("requests/", ASK | wrong), status)
        if code:
            assert body["code"] == code
        if field:
            assert field in body["errors"]
        assert jit.count() == before

    @pytest.mark.parametrize("case", BAD_BODIES)
    def test_refuses_a_body_that_is(self, jit: Running, case: str) -> None:
        text, status = BAD_BODIES[case]
        before = jit.count()
        answer = jit.rita.http(
            "POST", "requests/", data=text, headers={"Content-Type": "application/json"}
        )
        problem(answer, status)
        assert jit.count() == before

    def test_refuses_another_kind_of_body(self, jit: Running) -> None:
        answer = jit.rita.http("POST", "requests/", data={"role": WRITER})
        problem(answer, 415)

    def test_says_the_longest_duration(self, jit: Running) -> None:
        body = jit.rita.post("requests/", ASK | {"duration_seconds": 7201}).json()
        assert body["max_duration_seconds"] == 7200
        assert "7200" in body["detail"]

    def test_shows_a_stranger_which_sentence_failed(self, jit: Running) -> None:
        body = problem(jit.otto.post("requests/", ASK), 422)
        assert body["code"] == "NotEligible"
        assert "payments-sre" in body["detail"]


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("PUT", "requests/"),
            ("DELETE", "requests/"),
            ("PATCH", f"requests/{NOBODYS}/"),
            ("DELETE", f"grants/{NOBODYS}/"),
            ("GET", f"grants/{NOBODYS}/credential/"),
            ("GET", f"grants/{NOBODYS}/return/"),
            ("GET", f"requests/{NOBODYS}/decisions/"),
            ("POST", "inbox/"),
            ("POST", "me/"),
            ("DELETE", "audit/events/"),
        ],
    )
    def test_that_do_not_exist_are_named(self, jit: Running, method: str, path: str) -> None:
        answer = jit.rita.http(method, path)
        problem(answer, 405)
        assert answer.headers["Allow"]

    @pytest.mark.parametrize("path", ["me/", "requests/", "grants/", "roles/", "inbox/"])
    def test_head_and_options_are_answered(self, jit: Running, path: str) -> None:
        head = jit.rita.http("HEAD", path)
        assert (head.status_code, head.text) == (200, "")
        options = jit.rita.http("OPTIONS", path)
        assert options.status_code == 200
        assert "GET" in options.headers["Allow"]


class TestIds:
    @pytest.mark.parametrize(
        "path",
        [
            f"requests/{NOBODYS}/",
            f"grants/{NOBODYS}/",
            "requests/7/",
            "requests/nothing/",
            "grants/%00/",
            "nowhere/",
            "tickets/OPS-999999/",
            "roles/orders-db-owner/",
        ],
    )
    def test_of_nothing_are_not_found(self, jit: Running, path: str) -> None:
        problem(jit.rita.get(path), 404)

    def test_of_somebody_else_are_not_found(self, jit: Running) -> None:
        request_id, grant_id = jit.active()
        for person in (jit.otto,):
            problem(person.get(f"requests/{request_id}/"), 404)
            problem(person.get(f"grants/{grant_id}/"), 404)
            problem(person.post(f"requests/{request_id}/withdraw/"), 404)
            problem(person.post(f"grants/{grant_id}/return/"), 404)
            problem(person.decide(request_id), 404)
        jit.give_back(grant_id)

    @pytest.mark.parametrize(
        "query",
        [
            {"cursor": "nonsense"},
            {"cursor": "WyJhIl0"},
            {"limit": "0"},
            {"limit": "1e3"},
            {"limit": "201"},
            {"from": "yesterday"},
            {"state": "a\0b"},
        ],
    )
    def test_and_cursors_and_filters_are_checked(self, jit: Running, query: Any) -> None:
        problem(jit.rita.get("requests/", **query), 404 if "cursor" in query else 400)


class TestTokens:
    @pytest.mark.parametrize(
        "header", [None, "Bearer", "Bearer a b", "Bearer jit_pat_x", "Basic e"]
    )
    def test_that_open_nothing_get_a_challenge(self, jit: Running, header: str | None) -> None:
        import requests

        answer = requests.get(
            f"{jit.url}/api/v1/me/",
            headers={"Authorization": header} if header else {},
            timeout=30,
        )
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")

    def test_that_were_revoked_or_expired_open_nothing(self, jit: Running) -> None:
        made = jit.manage(
            "shell",
            "-v0",
            "-c",
            "import datetime as dt, json\n"
            "from jit.identity import operations as o, queries as q\n"
            "from jit.identity.management.terminal import terminal_actor\n"
            "from jit.kernel import clock\n"
            "rita, actor, now = q.user_by_username('rita'), terminal_actor(), clock.now()\n"
            "def make(at):\n"
            "    return o.create_token(user=rita, name='t', scopes=['read'], actor=actor,\n"
            "        expires_at=at + dt.timedelta(hours=1), now=at)\n"
            "revoked, first = make(now)\n"
            "o.revoke_token(token=revoked, actor=actor, now=now)\n"
            "_, second = make(now - dt.timedelta(hours=2))\n"
            "_, third = make(now)\n"
            "print(json.dumps([first, second, third]))\n",
        )
        import json

        revoked, expired, narrow = json.loads(made.strip().splitlines()[-1])
        assert problem(jit.with_token("rita", revoked).get("me/"), 401)["code"] == "TokenRevoked"
        assert problem(jit.with_token("rita", expired).get("me/"), 401)["code"] == "TokenExpired"
        reader = jit.with_token("rita", narrow)
        assert reader.get("me/").status_code == 200
        before = jit.count()
        assert "scope" in problem(reader.ask(), 403)["detail"]
        assert jit.count() == before
