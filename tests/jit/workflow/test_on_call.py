"""Being on call: a reason to be let in and a reason to be asked, never a yes by itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from approvals import escalation, tasks
from approvals.backend import NobodyCanApprove
from approvals.models import Step
from approvals.rules import SelfApproval
from jit.audit.models import AuditEvent
from jit.catalog.models import Role
from jit.elevation.models import ElevationRequest, Grant
from jit.identity.models import User
from jit.kernel import clock
from jit.kernel import tasks as kernel_tasks
from jit.notifications.models import Notification
from jit.oncall import queries as on_call
from jit.workflow import activate, offers, preview, submit
from tests.approvals.doors import DONE, Program, Web
from tests.standins import on_call_fake
from tests.standins.on_call_fake import FakeOnCall
from tests.support.on_call import world_with_a_pager
from tests.support.world import READER, WRITER, World


@pytest.fixture
def pager() -> Iterator[FakeOnCall]:
    with on_call_fake.running() as fake:
        yield fake


@pytest.fixture
def world(db: None, pager: FakeOnCall, settings: Any, tmp_path: Path) -> World:
    return world_with_a_pager(pager, settings, tmp_path)


class TestAnOpenStep:
    """Who is on call is asked again when the step asks further, and when a webhook hints at it."""

    @pytest.fixture
    def asked(self, world: World, pager: FakeOnCall) -> ElevationRequest:
        pager.puts_on_call("bo@example.com")
        request = world.ask()
        assert Step.objects.get(chain__request=request).resolved[0] == "user:bo"
        return request

    def test_asks_who_takes_the_pager_over(
        self, world: World, pager: FakeOnCall, asked: ElevationRequest
    ) -> None:
        pager.shifts.clear()
        pager.puts_on_call("otto@example.com")
        tasks.pager_changed("orders")
        step = Step.objects.get(chain__request=asked)
        assert step.resolved == ["user:bo", "group:payments-leads", "user:otto"]
        told = Notification.objects.filter(kind="asked", channel="in_app")
        assert "otto" in set(told.values_list("recipient__username", flat=True))
        tasks.pager_changed("orders")
        assert AuditEvent.objects.filter(action="step.asked-also").count() == 1
        world.decide("otto", asked)
        asked.refresh_from_db()
        assert asked.state == "APPROVED"

    def test_escalates_to_who_has_the_pager_then(
        self, pager: FakeOnCall, asked: ElevationRequest, monkeypatch: Any
    ) -> None:
        asked.ruling["chain"][0] |= {
            "any_of": ["group:payments-leads"],
            "escalate_to": ["oncall:orders"],
        }
        asked.save(update_fields=["ruling"])
        past = clock.now() - dt.timedelta(seconds=5)
        steps = Step.objects.filter(chain=asked.chain)
        steps.update(escalate_to=["user:bo"], escalate_at=past, look_at=past)
        pager.shifts.clear()
        pager.puts_on_call("otto@example.com")
        sent: list[tuple[str, ...]] = []
        monkeypatch.setattr(kernel_tasks, "enqueue", lambda *args: sent.append(args))
        escalation.watch()
        assert sent == [("approvals.look_again", str(steps.get().pk))]
        tasks.look_again(sent[0][1])
        assert steps.get().escalated_to == ["user:otto"]

    @pytest.mark.parametrize("fails", [500, "silent"])
    def test_keeps_who_was_asked_when_the_system_is_silent(
        self, pager: FakeOnCall, asked: ElevationRequest, fails: Any, settings: Any
    ) -> None:
        settings.ONCALL_TIMEOUT = 0.5
        pager.fails = fails
        tasks.pager_changed("orders")
        step = Step.objects.get(chain__request=asked)
        assert step.resolved == ["user:bo", "group:payments-leads"]
        asked.refresh_from_db()
        assert asked.state == "PENDING"


FAILURES = [500, 401, 429, (200, "<html>"), (200, '{"oncalls": 1}'), "silent"]


class TestFacts:
    def test_lets_in_who_has_the_pager_and_took_the_incident(
        self, world: World, pager: FakeOnCall
    ) -> None:
        pager.puts_on_call("rita@example.com")
        pager.acknowledges("rita@example.com")
        request = world.ask()
        assert request.state == "APPROVED"
        assert request.ruling["rule"] == "on-call"

    def test_are_on_the_record_with_the_request(self, world: World, pager: FakeOnCall) -> None:
        pager.puts_on_call("rita@example.com")
        pager.acknowledges("rita@example.com")
        facts = world.ask().ruling["facts"]["user"]
        assert facts["on_call_for"] == facts["acknowledged_for"] == ["orders"]
        assert facts["on_call_known"] is True
        told = facts["on_call_checks"]["orders"]
        assert "asked pagerduty at 20" in told
        assert "on call at level 1 until 2100-01-01" in told
        assert "acknowledged PINCID0" in told

    @pytest.mark.parametrize(
        ("on_call_person", "took_it"),
        [("rita", "ada"), ("ada", "rita"), ("ada", "ada"), ("rita", "")],
    )
    def test_one_of_the_two_is_not_enough(
        self, world: World, pager: FakeOnCall, on_call_person: str, took_it: str
    ) -> None:
        pager.puts_on_call(f"{on_call_person}@example.com")
        if took_it:
            pager.acknowledges(f"{took_it}@example.com")
        assert world.ask().state == "PENDING"

    def test_end_the_privilege_with_the_shift(self, world: World, pager: FakeOnCall) -> None:
        until = clock.rfc3339(clock.now() + dt.timedelta(seconds=900))
        pager.puts_on_call("rita@example.com", until=until)
        pager.acknowledges("rita@example.com")
        with pytest.raises(submit.DurationTooLong) as caught:
            world.ask(duration_seconds=1800)
        assert 880 <= caught.value.extra["max_duration_seconds"] <= 900

    @pytest.mark.parametrize(("door", "fails"), [(Web, 500), *((Program, f) for f in FAILURES)])
    def test_on_call_system_unreachable_falls_to_the_human_chain(
        self, world: World, pager: FakeOnCall, door: Any, fails: Any, settings: Any
    ) -> None:
        """The edge case of the domain: never an automatic yes."""
        settings.ONCALL_TIMEOUT = 0.5
        pager.puts_on_call("rita@example.com")
        pager.acknowledges("rita@example.com")
        pager.fails = fails
        assert door(world).ask()[0] in DONE
        request = ElevationRequest.objects.get()
        assert request.state == "PENDING"
        assert request.ruling["rule"] == "others"
        assert request.approvers == ["group:payments-leads"]
        facts = request.ruling["facts"]["user"]
        assert (facts["on_call_for"], facts["on_call_known"]) == ([], False)
        assert facts["on_call_checks"]["orders"].startswith("asked pagerduty at")
        assert not Grant.objects.filter(request=request).exists()

    def test_a_system_that_is_down_opens_no_door(self, world: World, pager: FakeOnCall) -> None:
        pager.fails = 500
        with pytest.raises(submit.NotEligible):
            world.ask(role=READER)
        event = AuditEvent.objects.filter(action="policy.refused").latest("seq")
        assert event.content["body"]["facts"]["user"]["on_call_known"] is False

    def test_the_requester_cannot_choose_the_service(
        self, world: World, pager: FakeOnCall, settings: Any
    ) -> None:
        """The role's owner tags it with what counts: another pager is no reason."""
        settings.ONCALL_SERVICES += ["lunch=pagerduty/policy:PLUNCH1+service:PLUNCH2"]
        Role.objects.filter(slug=WRITER).update(tags={"oncall": "lunch"})
        pager.puts_on_call("rita@example.com")
        pager.acknowledges("rita@example.com")
        request = world.ask()
        assert request.state == "PENDING"
        assert request.ruling["facts"]["user"]["on_call_for"] == []
        assert list(request.ruling["facts"]["user"]["on_call_checks"]) == ["lunch"]

    def test_are_asked_for_outside_transactions(
        self, world: World, pager: FakeOnCall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        depth = len(connection.savepoint_ids)
        ask = on_call.on_call

        def watched(*args: Any, **more: Any) -> Any:
            assert len(connection.savepoint_ids) == depth, "asked while rows may be locked"
            return ask(*args, **more)

        monkeypatch.setattr(on_call, "on_call", watched)
        pager.puts_on_call("ada@example.com")
        world.decide("ada", world.ask())

    def test_what_a_page_was_shown_decides_nothing(self, world: World, pager: FakeOnCall) -> None:
        pager.puts_on_call("rita@example.com")
        pager.acknowledges("rita@example.com")
        rita = world.user("rita")
        ask = submit.Ask(
            role=WRITER,
            ticket=world.tickets["sev2"],
            justification="The checkout times out.",
            duration_seconds=600,
        )
        shown = preview.preview(requester=rita, ask=ask, channel="web", now=clock.now())
        assert shown["outcome"] == "auto"
        pager.shifts.clear()
        shown = preview.preview(requester=rita, ask=ask, channel="web", now=clock.now())
        assert shown["outcome"] == "auto", "a page may be a minute old"
        assert world.ask().state == "PENDING"

    def test_offers_ask_once_for_many_roles(self, world: World, pager: FakeOnCall) -> None:
        roles = list(Role.objects.select_related("target", "owner_group"))
        for _ in range(3):
            offers.offers(user=world.user("rita"), roles=roles, now=clock.now())
        assert [asked.path for asked in pager.asked].count("/oncalls") == 1


class TestActivation:
    def test_waits_while_the_on_call_system_is_silent(
        self, world: World, pager: FakeOnCall
    ) -> None:
        """Losing a component delays a grant; it neither gives nor ends one."""
        pager.puts_on_call("rita@example.com")
        pager.puts_on_call("ada@example.com")
        request = world.ask(role=READER)
        world.decide("ada", request)
        grant = Grant.objects.get(request=request)
        pager.fails = 503
        activate.activate(grant_id=grant.pk)
        grant.refresh_from_db()
        assert grant.state == "SCHEDULED"
        assert "on-call system" in grant.waiting_for

    def test_gives_nothing_to_who_handed_the_pager_over(
        self, world: World, pager: FakeOnCall
    ) -> None:
        pager.puts_on_call("rita@example.com")
        pager.puts_on_call("ada@example.com")
        request = world.ask(role=READER)
        world.decide("ada", request)
        grant = Grant.objects.get(request=request)
        pager.shifts.pop(0)
        activate.activate(grant_id=grant.pk)
        grant.refresh_from_db()
        assert (grant.state, grant.end_reason) == ("WITHDRAWN", "policy")


class TestApprovers:
    def test_are_the_people_on_call_when_it_is_asked(self, world: World, pager: FakeOnCall) -> None:
        pager.puts_on_call("olga@example.com")
        request = world.ask()
        assert request.approvers == ["user:olga", "group:payments-leads"]
        world.decide("olga", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"

    def test_are_not_those_of_the_next_level(self, world: World, pager: FakeOnCall) -> None:
        pager.puts_on_call("olga@example.com", level=2)
        assert world.ask().approvers == ["group:payments-leads"]

    def test_nobody_falls_away_and_leaves_the_others(self, world: World, pager: FakeOnCall) -> None:
        assert world.ask().approvers == ["group:payments-leads"]

    def test_on_call_person_who_asks_does_not_answer(self, world: World, pager: FakeOnCall) -> None:
        pager.puts_on_call("rita@example.com")
        request = world.ask()
        assert request.state == "PENDING", "the pager alone is no yes"
        with pytest.raises(SelfApproval):
            world.decide("rita", request)
        request.refresh_from_db()
        assert request.state == "PENDING"

    def test_refused_when_the_only_person_on_call_is_who_asks(
        self, world: World, pager: FakeOnCall
    ) -> None:
        pager.puts_on_call("rita@example.com")
        with pytest.raises(NobodyCanApprove, match="oncall:orders"):
            world.ask(role=READER)
        assert not ElevationRequest.objects.exists()

    def test_refused_when_the_system_fails_between_the_two_questions(
        self, world: World, pager: FakeOnCall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pager.puts_on_call("rita@example.com")
        pager.puts_on_call("ada@example.com")
        monkeypatch.setattr(on_call, "people_on_call", lambda _name: [])
        with pytest.raises(NobodyCanApprove):
            world.ask(role=READER)
        assert not Grant.objects.exists()

    def test_a_second_account_of_who_asks_does_not_answer(
        self, world: World, pager: FakeOnCall
    ) -> None:
        rita = world.user("rita")
        User.objects.filter(username="otto").update(person_id=rita.person_id)
        pager.puts_on_call("otto@example.com")
        request = world.ask()
        with pytest.raises(SelfApproval):
            world.decide("otto", request)
