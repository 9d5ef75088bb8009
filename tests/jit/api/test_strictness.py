"""What a program gets wrong is refused in words: no slip reads as an answer."""

from __future__ import annotations

import base64
import json
from itertools import product
from typing import Any

import pytest
from django.test import Client

from tests.support.people import signed_in
from tests.support.world import WRITER, World

pytestmark = pytest.mark.django_db
LISTS = (
    "requests/",
    "grants/",
    "sessions/",
    "audit/events/",
    "notifications/",
    "reviews/",
    "inbox/",
    "tickets/",
    "roles/",
    "delegations/",
    "ssh-keys/",
)
CHOSEN = (
    ("requests/", "state"),
    ("grants/", "state"),
    ("sessions/", "state"),
    ("reviews/", "state"),
    ("tickets/", "status"),
    ("audit/events/", "action"),
    ("audit/events/", "request"),
    ("roles/", "eligible"),
    ("notifications/", "unread"),
    ("sessions/", "flagged"),
)
NOBODYS = "01a1fcb8-3af0-7aa1-b1b8-2f56d3bb8f6e"
TIMED = ("requests/", "sessions/", "audit/events/")
ASK = {"role": WRITER, "ticket": "OPS-1", "justification": "It hangs.", "duration_seconds": 600}


def problem(answer: Any, status: int, field: str = "") -> Any:
    assert answer.status_code == status, answer.content[:500]
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert not field or field in body["errors"], body
    return body


def cursor(*parts: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


class TestTimes:
    def test_a_zone_that_postgresql_does_not_know_is_a_time_all_the_same(
        self, world: World
    ) -> None:
        udo = world.api("udo")
        for path, name, zone in product(TIMED, ("from", "to"), ("+16:00", "-16:00", "-23:59")):
            answer = udo.get(path, **{name: f"2026-11-28T00:00:00{zone}"})
            assert answer.status_code == 200, (path, name, zone)

    @pytest.mark.parametrize(
        "at",
        [
            "0001-01-01T00:00:00+16:00",
            "9999-12-31T23:59:59-16:00",
            "2030-01-31T09:00:00",
            "2030-01-31",
            "noon",
            "",
        ],
    )
    def test_a_time_without_its_zone_or_beyond_the_calendar_is_refused_everywhere(
        self, world: World, at: str
    ) -> None:
        problem(world.api("udo").get("requests/", **{"from": at}), 400, "from")
        problem(world.api("rita").post("requests/", ASK | {"starts_at": at}), 400, "starts_at")
        lent = {"delegate": "bo", "reason": "Away.", "ends_at": at}
        problem(world.api("ada").post("delegations/", lent), 400, "ends_at")

    def test_a_cursor_with_such_a_zone_is_a_cursor(self, world: World) -> None:
        udo = world.api("udo")
        for path in ("requests/", "grants/", "sessions/", "notifications/"):
            for zone, status in (("+16:00", 200), ("-23:59", 200), ("", 404)):
                made = cursor(f"2026-11-28T00:00:00{zone}", NOBODYS)
                assert udo.get(path, cursor=made).status_code == status

    def test_a_page_goes_on_after_a_mark_with_such_a_zone(self, world: World) -> None:
        browser = signed_in(Client(), world.user("udo"))
        mark = f"2026-11-28T00:00:00+16:00_{NOBODYS}"
        for page in ("/requests/", "/sessions/", "/notifications/"):
            assert browser.get(page, {"after": mark}).status_code == 200


class TestAddresses:
    def test_an_unknown_parameter_does_not_read_as_the_whole_list(self, world: World) -> None:
        udo = world.api("udo")
        for path in LISTS:
            assert "limit" in problem(udo.get(path, nonsense="1"), 400, "nonsense")["detail"]
        problem(udo.get("me/", nonsense="1"), 400, "nonsense")
        problem(world.api("rita").post("requests/preview/?nonsense=1", ASK), 400, "nonsense")

    def test_a_misspelt_value_does_not_read_as_an_empty_list(self, world: World) -> None:
        udo = world.api("udo")
        for (path, name), value in product(CHOSEN, ("NOPE", "maybe", "null", "")):
            problem(udo.get(path, **{name: value}), 400, name)

    def test_a_parameter_said_twice_is_not_half_heard(self, world: World) -> None:
        answer = world.api("udo").get("requests/?state=PENDING&state=DENIED")
        problem(answer, 400, "state")

    def test_the_length_of_a_page_is_from_1_to_200(self, world: World) -> None:
        udo = world.api("udo")
        for limit in ("0", "201", "-1", "1.0", "\u0663", "", "1e2", " 5", "9" * 30):
            problem(udo.get("requests/", limit=limit), 400, "limit")

    def test_authorize_needs_both(self, world: World) -> None:
        problem(world.api("rita").get("authorize/", user="rita"), 400, "role")

    def test_a_write_without_the_last_slash_does_not_become_a_list(self, world: World) -> None:
        headers = {"Authorization": f"Bearer {world.api('rita').token}"}
        for method in ("post", "put", "patch", "delete"):
            answer = getattr(Client(), method)(
                "/api/v1/requests",
                json.dumps(ASK),
                content_type="application/json",
                headers=headers,
            )
            assert "slash" in problem(answer, 404)["detail"]

    def test_a_page_without_the_last_slash_is_still_found(self, world: World) -> None:
        assert signed_in(Client(), world.user("rita")).get("/requests").status_code == 301
        assert Client().post("/sign-in").status_code == 404


class TestBodies:
    def test_an_unknown_field_is_not_dropped(self, world: World) -> None:
        wrong = ASK | {"start_at": "2030-01-31T09:00:00Z"}
        body = problem(world.api("rita").post("requests/", wrong), 400, "start_at")
        assert "starts_at" in body["detail"]

    def test_a_field_said_twice_is_not_half_heard(self, world: World) -> None:
        text = json.dumps(ASK)[:-1] + ', "duration_seconds": 60}'
        body = problem(world.api("rita").post("requests/", text), 400)
        assert "duration_seconds" in body["detail"]

    def test_what_is_no_id_marks_nothing_as_read(self, world: World) -> None:
        rita = world.api("rita")
        for ids in ([False], [0], ["x"], [None], "all", {"a": 1}):
            problem(rita.post("notifications/read/", {"ids": ids}), 400)

    def test_only_true_promises_a_ticket(self, world: World) -> None:
        rita, ask = world.api("rita"), {name: ASK[name] for name in ASK if name != "ticket"}
        for promise in ("true", 1, "yes", None, []):
            answer = rita.post("break-glass/", ask | {"promise_ticket": promise})
            problem(answer, 400, "promise_ticket")


class TestIdempotencyKey:
    def test_the_same_key_with_another_body_is_no_repeat(self, world: World) -> None:
        key = {"Idempotency-Key": "k-7"}
        first = world.api("rita").post("requests/", ASK, key)
        assert first.status_code == 201, first.content
        again = world.api("rita").post("requests/", ASK, key)
        assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
        for change in ({"duration_seconds": 300}, {"justification": "Other."}, {"ticket": "OPS-3"}):
            body = problem(world.api("rita").post("requests/", ASK | change, key), 422)
            assert body["code"] == "IdempotencyKeyReused"
            assert body["request"] == first.json()["id"]

    def test_another_person_may_use_the_same_key(self, world: World) -> None:
        key = {"Idempotency-Key": "k-8"}
        world.api("rita").post("requests/", ASK, key)
        assert world.api("ada").post("requests/", ASK, key).status_code != 200
