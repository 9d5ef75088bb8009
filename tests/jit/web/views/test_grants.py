"""Grants in the browser: credential, done, revoke, the operators' board."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.test import Client

from jit.elevation import queries
from jit.elevation.models import Grant
from jit.kernel import clock
from tests.support.world import READER, WRITER, World

PART = {"HX-Request": "true"}


class TestCredential:
    def test_is_shown_to_its_owner_masked(self, world: World, at: Callable[[str], Client]) -> None:
        grant = world.grant()
        answer = at("rita").post(f"/grants/{grant.pk}/credential/", headers=PART)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        password = next(row["value"] for row in answer.context["rows"] if row["secret"])
        text = answer.content.decode()
        assert f">{password}<" not in text
        assert "•••" in text

    def test_is_nobody_elses(self, world: World, at: Callable[[str], Client]) -> None:
        grant = world.grant()
        for name, status in (("ada", 403), ("opal", 403), ("udo", 403), ("otto", 404)):
            answer = at(name).post(f"/grants/{grant.pk}/credential/", headers=PART)
            assert answer.status_code == status, name
            assert answer.headers["JIT-Problem"]

    def test_no_page_shows_it_unasked(self, world: World, at: Callable[[str], Client]) -> None:
        grant = world.grant()
        shown = at("rita").post(f"/grants/{grant.pk}/credential/", headers=PART)
        password = next(row["value"] for row in shown.context["rows"] if row["secret"])
        for page in ("/", "/grants/", f"/requests/{grant.request_id}/", "/account/"):
            assert password not in at("rita").get(page).content.decode()


class TestGiveBack:
    def test_ends_ones_own(self, world: World, at: Callable[[str], Client]) -> None:
        grant = world.grant()
        at("rita").post(f"/grants/{grant.pk}/return/", headers=PART)
        grant.refresh_from_db()
        assert (grant.state, grant.end_reason) == ("REVOKING", "returned")

    def test_nobody_elses(self, world: World, at: Callable[[str], Client]) -> None:
        grant = world.grant()
        assert at("ada").post(f"/grants/{grant.pk}/return/", headers=PART).status_code == 403
        grant.refresh_from_db()
        assert grant.state == "ACTIVE"


class TestTakeBack:
    def test_is_for_operators_owners_and_approvers(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        grant = world.grant()
        reason = {"reason": "The incident is over."}
        assert at("udo").post(f"/grants/{grant.pk}/revoke/", reason).status_code == 403
        grant.refresh_from_db()
        assert grant.state == "ACTIVE"
        assert at("olga").post(f"/grants/{grant.pk}/revoke/", reason).status_code == 302
        grant.refresh_from_db()
        assert (grant.state, grant.end_comment) == ("REVOKING", "The incident is over.")

    def test_wants_a_reason(self, world: World, at: Callable[[str], Client]) -> None:
        grant = world.grant()
        answer = at("opal").post(f"/grants/{grant.pk}/revoke/", {"reason": " "}, headers=PART)
        assert answer.status_code == 400
        assert b"Say in a sentence why" in answer.content

    def test_all_of_a_person_go_at_once(self, world: World, at: Callable[[str], Client]) -> None:
        world.grant()
        world.grant(role=READER, ticket=world.tickets["sev1"])
        answer = at("opal").post("/grants/revoke/", {"requester": "rita", "reason": "Left."})
        assert answer.headers["Location"] == "/grants/?requester=rita"
        assert {grant.state for grant in queries.grants()} == {"REVOKING"}

    def test_without_a_filter_nothing_goes(self, world: World, at: Callable[[str], Client]) -> None:
        grant = world.grant()
        answer = at("opal").post("/grants/revoke/", {"reason": "Everything!"})
        assert answer.status_code == 400
        grant.refresh_from_db()
        assert grant.state == "ACTIVE"


class TestBoard:
    def test_puts_the_stuck_first_with_error_and_next_try(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        grant = world.grant()
        now = clock.now()
        Grant.objects.filter(pk=grant.pk).update(
            state="REVOKING",
            end_reason="expired",
            revoking_since=now - dt.timedelta(minutes=5),
            next_try_at=now + dt.timedelta(seconds=30),
            last_error="connection refused <by> the target",
            credential=None,
        )
        answer = at("opal").get("/grants/")
        text = answer.content.decode()
        assert [row.pk for row in answer.context["board"].stuck] == [grant.pk]
        assert "Stuck" in text
        assert "connection refused &lt;by&gt; the target" in text

    def test_shows_everybody_their_own_only(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        world.grant()
        assert b"orders-db-writer" in at("rita").get("/grants/").content
        assert b"orders-db-writer" not in at("otto").get("/grants/").content
        assert at("rita").get("/grants/").context["board"].may_see_orphans is False

    def test_costs_the_same_for_many(
        self, world: World, at: Callable[[str], Client], django_assert_max_num_queries: object
    ) -> None:
        world.grant(role=WRITER)
        opal = at("opal")
        opal.get("/grants/")
        with django_assert_max_num_queries(10):  # type: ignore[operator]
            opal.get("/grants/")
