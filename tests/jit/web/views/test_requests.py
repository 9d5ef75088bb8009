"""Lists of requests, the timeline of one, and the start page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from jit.workflow import lapse
from tests.support.world import READER, WRITER, World

PART = {"HX-Request": "true"}
HOSTILE = '<img src=x onerror=alert(1)> \u202eevil <!channel> "quoted"'


class TestRequests:
    def test_shows_ones_own_by_default(self, world: World, at: Callable[[str], Client]) -> None:
        world.ask()
        assert b"orders-db-writer" in at("rita").get("/requests/").content
        ada = at("ada")
        assert b"orders-db-writer" not in ada.get("/requests/").content
        assert b"orders-db-writer" in ada.get("/requests/?whose=all").content

    def test_pages_through_many_at_a_fixed_cost(
        self,
        world: World,
        at: Callable[[str], Client],
        monkeypatch: pytest.MonkeyPatch,
        django_assert_num_queries: Any,
        django_assert_max_num_queries: Any,
    ) -> None:
        for _ in range(6):
            row = world.ask()
            lapse.withdraw(request_id=row.pk, user=world.user("rita"), actor=world.actor("rita"))
        monkeypatch.setattr(
            "jit.web.paging.newest_first.__kwdefaults__", {"limit": 4, "field": "created_at"}
        )
        rita = at("rita")
        with django_assert_max_num_queries(10):
            first = rita.get("/requests/")
        assert len(first.context["rows"]) == 4
        second = rita.get("/requests/", {"after": first.context["next"]})
        assert len(second.context["rows"]) == 2
        seen = {row.pk for page in (first, second) for row, _ in page.context["rows"]}
        assert len(seen) == 6

    @pytest.mark.parametrize("junk", ["x", "_", "2026_", "\x00", "9" * 300])
    def test_a_mark_that_cant_be_read_is_the_beginning(
        self, world: World, at: Callable[[str], Client], junk: str
    ) -> None:
        world.ask()
        assert len(at("rita").get("/requests/", {"after": junk}).context["rows"]) == 1


class TestDetail:
    def test_escapes_what_people_wrote(self, world: World, at: Callable[[str], Client]) -> None:
        row = world.ask(justification=HOSTILE)
        for name, page in (
            ("rita", f"/requests/{row.pk}/"),
            ("ada", "/inbox/"),
            ("ada", f"/requests/{row.pk}/chain/"),
        ):
            text = at(name).get(page).content.decode()
            assert "<img src=x" not in text
            assert "\u202e" not in text
            assert page.endswith("chain/") or "⟦U+202E⟧" in text

    def test_tells_it_from_ticket_to_proof(self, world: World, at: Callable[[str], Client]) -> None:
        from jit.workflow import revoke

        grant = world.grant(role=READER, ticket=world.tickets["sev1"])
        revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
        revoke.revoke_due()
        text = at("rita").get(f"/requests/{grant.request_id}/").content.decode()
        places = [
            text.index(words)
            for words in (world.tickets["sev1"], "rita asked", "Policy:", "Taken back", "Seen gone")
        ]
        assert places == sorted(places)
        assert "roles found" in text

    @pytest.mark.parametrize("name", ["head", "grant", "events"])
    def test_its_parts_are_drawn_alone(
        self, world: World, at: Callable[[str], Client], name: str
    ) -> None:
        row = world.ask()
        answer = at("rita").get(f"/requests/{row.pk}/part/{name}/", headers=PART)
        assert answer.status_code == 200
        assert b"<html" not in answer.content
        assert at("otto").get(f"/requests/{row.pk}/part/{name}/").status_code == 404

    def test_a_part_nobody_knows_is_not_there(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        row = world.ask()
        assert at("rita").get(f"/requests/{row.pk}/part/credential/").status_code == 404


class TestWithdraw:
    def test_is_the_requesters_alone(self, world: World, at: Callable[[str], Client]) -> None:
        row = world.ask()
        refused = at("ada").post(f"/requests/{row.pk}/withdraw/", headers=PART)
        assert refused.status_code == 403
        assert b"as an approver, deny it" in refused.content
        at("rita").post(f"/requests/{row.pk}/withdraw/")
        row.refresh_from_db()
        assert row.state == "WITHDRAWN"


class TestHome:
    def test_shows_what_one_holds(self, world: World, at: Callable[[str], Client]) -> None:
        world.grant()
        text = at("rita").get("/").content.decode()
        assert "data-countdown" in text
        assert "Connect" in text
        assert "Done" in text
        assert "You hold nothing now" in at("otto").get("/").content.decode()


class TestConditions:
    def test_a_refusals_sentence_is_not_shown_as_a_fact(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        """“A change freeze is on” stood with a green tick while none was."""
        request = world.ask()
        page = at("udo").get(f"/requests/{request.pk}/").content.decode()
        assert "change_freeze = false" in page
        assert "A change freeze is on" not in page
        assert "ask to join" not in page
        told = world.api("rita").get(f"requests/{request.pk}/").json()["ruling"]["trace"]
        assert {clause["message"] for clause in told if clause["passed"]} == {""}
        assert any(clause["values"].get("request.change_freeze") is False for clause in told)

    def test_nor_while_one_asks(self, world: World, at: Callable[[str], Client]) -> None:
        form = {"role": WRITER, "ticket": world.tickets["sev2"], "duration_seconds": 600}
        page = at("rita").post("/request/ruling/", form, headers=PART).content.decode()
        assert "change_freeze = false" in page
        assert "A change freeze is on" not in page
