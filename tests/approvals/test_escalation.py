from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from approvals import escalation, queries
from approvals.backend import Approvals
from approvals.models import Decision, Step
from jit.audit.models import AuditEvent
from jit.elevation.models import ElevationRequest, Grant
from jit.identity import operations as identity
from jit.identity.models import Group, User
from jit.kernel import clock
from jit.notifications.models import Notification
from jit.policy.ruling import StepSpec
from tests.support import people
from tests.support.standing_in import lent
from tests.support.world import World


def step_of(request: ElevationRequest) -> Step:
    return Step.objects.get(chain__request=request, state="OPEN")


def overdue(request: ElevationRequest, **more: Any) -> None:
    past = clock.now() - dt.timedelta(seconds=5)
    values = {"escalate_to": ["group:sre-managers"], "escalate_at": past, "look_at": past}
    Step.objects.filter(chain=request.chain).update(**(values | more))


def look_now() -> None:
    Step.objects.update(look_at=clock.now() - dt.timedelta(seconds=5))


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).order_by("seq"))


def told(kind: str) -> set[str]:
    rows = Notification.objects.filter(kind=kind)
    return {row.recipient.username for row in rows if row.recipient}


def leave(world: World, *names: str) -> None:
    for name in names:
        identity.remove_member(
            group=Group.objects.get(slug="payments-leads"),
            user=world.user(name),
            actor=people.INSTALLER,
            now=clock.now(),
        )


def join(world: World, *names: str) -> None:
    for name in names:
        identity.add_member(
            group=Group.objects.get(slug="payments-leads"),
            user=world.user(name),
            actor=people.INSTALLER,
            now=clock.now(),
        )


class TestWatch:
    def test_an_overdue_step_asks_further_approvers_and_the_first_stay(self, world: World) -> None:
        request = world.ask()
        overdue(request)
        escalation.watch()
        shown = queries.describe([request])[request.pk].steps[0]
        assert shown.candidates == ("ada", "bo", "olga")
        assert shown.escalated_to == ("group:sre-managers",)
        assert shown.escalated_at is not None
        assert told("escalated") == {"olga"}
        assert b'"why":"overdue"' in bytes(events("step.escalated")[0].body)
        olga = world.api("olga").get(f"requests/{request.pk}/").json()
        assert olga["chain"][0]["escalated_to"] == ["group:sre-managers"]

    def test_never_skips_into_approval(self, world: World) -> None:
        request = world.ask()
        overdue(request)
        for _ in range(3):
            escalation.watch()
            look_now()
        request.refresh_from_db()
        assert request.state == "PENDING"
        assert step_of(request).state == "OPEN"
        assert not Decision.objects.exists()
        assert not Grant.objects.exists()
        assert len(events("step.escalated")) == 1

    def test_asks_the_manager_of_the_hour_when_it_escalates(self, world: World) -> None:
        request = world.ask()
        request.ruling["chain"][0]["escalate_to"] = ["manager"]
        request.save(update_fields=["ruling"])
        overdue(request, escalate_to=["user:bo"])
        User.objects.filter(username="rita").update(manager=world.user("olga"))
        escalation.watch()
        assert queries.describe([request])[request.pk].steps[0].escalated_to == ("user:olga",)
        assert told("escalated") == {"olga"}

    def test_asks_who_was_named_before_where_the_words_mean_nobody_now(self, world: World) -> None:
        request = world.ask()
        request.ruling["chain"][0]["escalate_to"] = ["manager"]
        request.save(update_fields=["ruling"])
        overdue(request, escalate_to=["user:olga"])
        escalation.watch()
        assert told("escalated") == {"olga"}

    def test_asks_who_joins_the_group_while_the_step_is_open(self, world: World) -> None:
        request = world.ask()
        assert told("asked") == {"ada", "bo"}
        join(world, "otto")
        escalation.look_soon("group:payments-leads")
        assert escalation.watch() == 1
        assert told("asked") == {"ada", "bo", "otto"}
        look_now()
        escalation.watch()
        assert Notification.objects.filter(kind="asked", recipient__username="otto").count() == 1
        assert Notification.objects.filter(kind="asked", channel="ticket").count() == 1
        world.decide("otto", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"

    def test_asks_who_begins_to_stand_in(self, world: World) -> None:
        world.ask()
        lent(world, "ada", "otto")
        look_now()
        escalation.watch()
        assert told("asked") == {"ada", "bo", "otto"}

    def test_does_nothing_before_its_time(self, world: World) -> None:
        request = world.ask()
        overdue(request, escalate_at=clock.now() + dt.timedelta(minutes=5))
        assert escalation.watch() == 1
        assert escalation.watch() == 0
        assert events("step.escalated") == []
        assert events("step.reminded") == []

    def test_reminds_once_at_half_time(self, world: World) -> None:
        request = world.ask()
        step = step_of(request)
        assert step.opened_at
        assert step.remind_at
        assert step.lapses_at
        assert step.remind_at - step.opened_at == (step.lapses_at - step.opened_at) / 2
        for _ in range(2):
            past = clock.now() - dt.timedelta(seconds=5)
            Step.objects.filter(remind_at__isnull=False).update(remind_at=past)
            look_now()
            escalation.watch()
        assert told("reminder") == {"ada", "bo"}
        assert len(events("step.reminded")) == 1

    def test_an_odd_step_does_not_hold_up_the_others(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd, request = world.ask(), world.ask("bo", ticket=world.tickets["bos"])
        for one in (odd, request):
            overdue(one)
        real = escalation._look

        def look(step: Step, found: Any) -> None:
            if step.chain.request_id == odd.pk:
                raise ValueError("odd")
            real(step, found)

        monkeypatch.setattr(escalation, "_look", look)
        assert escalation.watch() == 2
        assert [event.request_id for event in events("step.escalated")] == [request.pk]

    def test_nobody_left_escalates_at_once_and_tells_the_owner(self, world: World) -> None:
        request = world.ask()
        owners = set(request.role.owner_group.memberships.values_list("user__username", flat=True))
        leave(world, "ada", "bo")
        for _ in range(2):
            look_now()
            escalation.watch()
        request.refresh_from_db()
        assert request.state == "PENDING"
        assert len(events("chain.nobody-left")) == 1
        assert owners
        assert owners <= told("escalated")
        assert set(queries.describe([request])[request.pk].steps[0].candidates) == owners - {"rita"}
        assert not Grant.objects.exists()

    def test_nobody_left_prefers_the_fallback_of_the_policy(self, world: World) -> None:
        people.person("max", "night-shift")
        request = world.ask()
        Step.objects.update(fallback=["group:night-shift"])
        leave(world, "ada", "bo")
        look_now()
        escalation.watch()
        assert step_of(request).escalated_to == ["group:night-shift"]
        world.decide("max", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"

    def test_one_left_of_two_needed_is_nobody_left(self, world: World) -> None:
        request = world.ask()
        Step.objects.update(quorum=2)
        leave(world, "bo")
        look_now()
        escalation.watch()
        assert len(events("chain.nobody-left")) == 1
        assert step_of(request).state == "OPEN"


class TestResolve:
    def resolve(self, world: World, *chain: StepSpec) -> Any:
        return Approvals().resolve(
            chain=chain,
            requester=world.user("rita"),
            role=world.role(),
            ticket_assignee=None,
            same_person_may_repeat=False,
        )

    def test_asks_the_fallback_only_where_nobody_else_can_answer(self, world: World) -> None:
        people.group("nobody-at-all")
        first = self.resolve(
            world, StepSpec(any_of=("group:nobody-at-all",), fallback=("group:sre-managers",))
        )
        assert first.approvers == [["group:nobody-at-all", "group:sre-managers"]]
        second = self.resolve(
            world, StepSpec(any_of=("group:payments-leads",), fallback=("group:sre-managers",))
        )
        assert second.approvers == [["group:payments-leads"]]

    def test_asks_the_fallback_of_a_missing_or_disabled_manager(self, world: World) -> None:
        spec = StepSpec(any_of=("manager",), fallback=("group:sre-managers",))
        rita = world.user("rita")
        rita.manager = None
        rita.save()
        assert self.resolve(world, spec).approvers == [["group:sre-managers"]]
        rita.manager = world.user("ada")
        rita.save()
        assert self.resolve(world, spec).approvers == [["user:ada"]]
        identity.disable_user(user=world.user("ada"), actor=people.INSTALLER, now=clock.now())
        assert [user.username for user in self.resolve(world, spec).people[0]] == ["olga"]
