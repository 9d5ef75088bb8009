"""Tickets, account, reviews, policy and audit in the browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client

from jit.audit import queries as audit
from jit.audit import sealing
from jit.identity import queries as identity
from jit.kernel import clock
from jit.tickets import queries as tickets
from tests.support.world import World

PART = {"HX-Request": "true"}


class TestTickets:
    def test_open_edit_close(self, world: World, at: Callable[[str], Client]) -> None:
        rita = at("rita")
        given = {"title": "Disk full", "severity": "2", "assignee": "rita", "type": "incident"}
        opened = rita.post("/tickets/new/", given)
        address = opened.headers["Location"]
        key = address.rstrip("/").rpartition("/")[2]
        rita.post(address, given | {"title": "Disk very full"})
        assert tickets.ticket_visible_to(world.user("rita"), key).title == "Disk very full"
        rita.post(f"{address}close/")
        assert not tickets.ticket_visible_to(world.user("rita"), key).is_open
        assert rita.post(f"{address}close/").status_code == 409

    def test_what_is_wrong_stands_beside_its_field(self, at: Callable[[str], Client]) -> None:
        sent = {"title": "", "severity": "2", "assignee": "nobody"}
        answer = at("rita").post("/tickets/new/", sent)
        assert answer.status_code == 400
        assert b'id="title-error"' in answer.content
        assert b"Nobody active has this username" in answer.content


class TestAccount:
    def test_a_token_is_shown_once(self, world: World, at: Callable[[str], Client]) -> None:
        rita = at("rita")
        made = rita.post("/account/tokens/", {"name": "laptop", "scopes": ["read"], "days": "7"})
        plain = made.context["plain"]
        assert plain in made.content.decode()
        assert plain not in rita.get("/account/").content.decode()
        token = identity.tokens_of(world.user("rita")).get(name="laptop")
        rita.post(f"/account/tokens/{token.pk}/revoke/")
        token.refresh_from_db()
        assert token.revoked_at

    def test_nobody_revokes_anothers_token(self, world: World, at: Callable[[str], Client]) -> None:
        at("rita").post("/account/tokens/", {"name": "a", "scopes": ["read"], "days": "7"})
        token = identity.tokens_of(world.user("rita")).get(name="a")
        assert at("otto").post(f"/account/tokens/{token.pk}/revoke/").status_code == 404

    def test_an_unknown_zone_is_refused(self, world: World, at: Callable[[str], Client]) -> None:
        answer = at("rita").post("/account/zone/", {"timezone": "Mars/Olympus"})
        assert answer.status_code == 400
        assert world.user("rita").timezone == "UTC"

    def test_shows_ones_own_sign_ins_only(self, world: World, at: Callable[[str], Client]) -> None:
        rita = at("rita")
        rita.post("/sign-out/")
        answer = at("rita").get("/account/")
        assert [event.action for event in answer.context["sign_ins"]] == ["user.signed-out"]
        assert at("otto").get("/account/").context["sign_ins"] == []


class TestPolicy:
    def test_shows_what_is_in_force_and_that_its_tests_pass(
        self, at: Callable[[str], Client]
    ) -> None:
        answer = at("udo").get("/policy/")
        assert answer.context["seen"].failed == ()
        assert answer.context["seen"].results
        bundle = at("udo").get(f"/policy/{answer.context['active'].bundle.digest}/")
        assert b"In force" in bundle.content

    def test_nobody_activates_what_they_proposed(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        from jit.policy import operations

        opal = world.user("opal")
        active = at("udo").get("/policy/").context["active"].bundle
        files = {name: f"# changed\n{text}" for name, text in active.files.items()}
        row = operations.propose(
            files=files, actor=world.actor("opal"), user=opal, now=clock.now(), comment="try"
        )
        world.ask()
        tried = at("opal").get(f"/policy/{row.digest}/simulation/", headers=PART)
        assert b"Nobody gains and nobody loses" in tried.content
        page = at("opal").get(f"/policy/{row.digest}/")
        assert b"a second person must put it in force" in page.content
        assert b"# changed" in page.content
        answer = at("opal").post(f"/policy/{row.digest}/activate/", headers=PART)
        assert answer.status_code == 403
        alone = at("opal").get(f"/policy/{row.digest}/simulation/")
        assert alone.headers["Location"] == f"/policy/{row.digest}/"

    def test_proposing_leads_to_the_bundle_where_htmx_would_follow_by_itself_and_show_nothing(
        self, world: World, at: Callable[[str], Client], settings: LazySettings, tmp_path: Path
    ) -> None:
        for name, text in at("udo").get("/policy/").context["active"].bundle.files.items():
            (tmp_path / name).write_text(f"# reviewed\n{text}")
        settings.POLICY_DIR = tmp_path
        opal = at("opal")
        answer = opal.post("/policy/propose/", {"comment": "Reviewed."}, headers=PART)
        assert answer.status_code == 204
        page = opal.get(answer.headers["HX-Redirect"])
        assert b"is proposed; a second person may activate it" in page.content
        plain = opal.post("/policy/propose/", {"comment": "Reviewed."})
        assert plain.headers["Location"] == answer.headers["HX-Redirect"]


class TestAudit:
    @pytest.fixture(autouse=True)
    def _asked(self, world: World) -> None:
        world.ask()

    def test_finds_by_action_person_and_words(self, at: Callable[[str], Client]) -> None:
        udo = at("udo")
        found = udo.get("/audit/", {"action": "request.created", "person": "rita"})
        assert [event.action for event in found.context["events"]] == ["request.created"]
        assert udo.get("/audit/", {"q": "checkout"}).context["events"]
        assert not udo.get("/audit/", {"q": "zebra"}).context["events"]

    def test_counts_the_search_and_not_the_page(
        self, world: World, at: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        udo = at("udo")
        seen = audit.events_visible_to(world.user("udo")).values_list("action", flat=True)
        whole = Counter(seen)
        monkeypatch.setattr("jit.audit.queries.page.__kwdefaults__", {"after": None, "limit": 1})
        shown = udo.get("/audit/")
        assert len(shown.context["events"]) == 1
        actions = {value: count for value, count, *_ in dict(shown.context["facets"])["action"]}
        assert len(actions) > 1
        assert actions == {value: whole[value] for value in actions}
        monkeypatch.setattr("jit.audit.queries.facets.__kwdefaults__", {"most": 1})
        assert udo.get("/audit/").context["at_least"]

    @pytest.mark.parametrize(
        ("junk", "status"),
        [
            ({"from": "soon"}, 400),
            ({"request": "x"}, 400),
            ({"after": "x-y"}, 404),
            ({"to": "9999-12-31"}, 400),
        ],
    )
    def test_junk_is_told_of(
        self, at: Callable[[str], Client], junk: dict[str, str], status: int
    ) -> None:
        answer = at("udo").get("/audit/", junk)
        assert answer.status_code == status
        assert b"Reference" in answer.content

    def test_people_find_their_own_only(self, at: Callable[[str], Client]) -> None:
        assert at("rita").get("/audit/").context["events"]
        assert not at("otto").get("/audit/").context["events"]

    def test_an_event_is_verified(self, world: World, at: Callable[[str], Client]) -> None:
        seq = audit.events_visible_to(world.user("udo")).order_by("-seq")[0].seq
        page = at("udo").get(f"/audit/{seq}/")
        assert b"As it was sealed" in page.content
        waiting = at("udo").post(f"/audit/{seq}/verify/", headers=PART)
        assert b"Not sealed yet" in waiting.content


@pytest.mark.django_db(transaction=True)
class TestVerification:
    def test_says_that_everything_is_as_it_was_sealed(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        connection.ensure_connection()
        sealing.seal(now=clock.now())
        answer = at("udo").post("/audit/verify/", headers=PART)
        assert b"Everything is as it was sealed" in answer.content
