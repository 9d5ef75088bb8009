"""The edge cases of a decision through the web's door and the API's, each with the same answer.

Slack's door has the same cases in `tests/approvals/slack/test_interactions.py`.
"""

from __future__ import annotations

import datetime as dt
import uuid

from approvals import delegation, escalation
from approvals.models import Decision, Delegation, Step
from jit.audit.models import AuditEvent
from jit.elevation.models import ElevationRequest, Grant
from jit.identity import operations as identity
from jit.identity.models import User
from jit.kernel import clock
from jit.workflow import activate, lapse
from tests.approvals.doors import DONE, Door, join, leave, overdue, still_open
from tests.support import people
from tests.support.world import ADMIN, READER, World


def planned(world: World, *, ago: int) -> ElevationRequest:
    """Return a request of 600 seconds whose window began `ago` seconds ago."""
    request = world.ask(starts_at=clock.now() + dt.timedelta(seconds=5))
    assert request.lapses_at == request.planned_end
    begun = clock.now() - dt.timedelta(seconds=ago)
    ends = begun + dt.timedelta(seconds=600)
    ElevationRequest.objects.filter(pk=request.pk).update(starts_at=begun, lapses_at=ends)
    request.refresh_from_db()
    return request


class TestTwice:
    def test_a_double_click_is_one_decision_and_no_error(self, world: World, door: Door) -> None:
        request = world.ask()
        first, again = door("ada", request), door("ada", request)
        assert first[0] in DONE
        assert again[0] == 200
        assert Decision.objects.count() == 1
        assert Grant.objects.filter(request=request).count() == 1

    def test_another_word_after_the_first_is_refused(self, world: World, door: Door) -> None:
        request = world.ask()
        door("ada", request)
        status, words = door("ada", request, "deny", comment="No.")
        assert status == 409
        assert "Already approved by ada" in words

    def test_asked_again_after_a_denial_is_another_request_without_voices(
        self, world: World, door: Door
    ) -> None:
        denied = world.ask()
        door("ada", denied, "deny", comment="Not tonight.")
        request = world.ask()
        assert request.pk != denied.pk
        assert not Decision.objects.filter(step__chain__request=request).exists()
        request.refresh_from_db()
        assert request.state == "PENDING"
        assert door("ada", denied)[0] == 409
        assert door("ada", request)[0] in DONE


class TestTooLate:
    def test_after_a_denial_hears_who_and_when(self, world: World, door: Door) -> None:
        request = world.ask()
        assert door("ada", request, "deny", comment="Not tonight.")[0] in DONE
        status, words = door("bo", request)
        assert status == 409
        assert "Already denied by ada at 20" in words

    def test_after_the_approval_hears_who(self, world: World, door: Door) -> None:
        request = world.ask()
        door("ada", request)
        status, words = door("bo", request)
        assert status == 409
        assert "Already approved by ada at 20" in words

    def test_after_the_lapse_even_before_the_sweep(self, world: World, door: Door) -> None:
        request = world.ask()
        ElevationRequest.objects.update(lapses_at=clock.now())
        status, words = door("ada", request)
        assert status == 409
        assert "lapsed at 20" in words, "the day is said: it may have been yesterday"
        assert not Grant.objects.exists()

    def test_a_yes_after_the_planned_window_gives_nothing(self, world: World, door: Door) -> None:
        """It gave the full time from then on, outside the window that the approver read."""
        request = planned(world, ago=601)
        status, words = door("ada", request)
        assert status == 409
        assert "The time that was planned is over: this request lapsed at 20" in words
        assert lapse.lapse_due() == 1
        request.refresh_from_db()
        assert request.state == "LAPSED"
        event = AuditEvent.objects.get(action="request.lapsed")
        assert event.content["body"]["why"] == "its planned time ended"
        assert "lapsed" in door.reads("ada", request).casefold()
        assert not Grant.objects.exists()

    def test_a_late_yes_gives_only_what_is_left_of_the_planned_window(
        self, world: World, door: Door
    ) -> None:
        request = planned(world, ago=400)
        end = request.planned_end
        assert end is not None
        assert f"{end:%H:%M}" in door.reads("ada", request)
        assert door("ada", request)[0] in DONE
        grant = Grant.objects.get(request=request)
        activate.activate(grant_id=grant.pk)
        grant.refresh_from_db()
        assert (grant.state, grant.ends_at) == ("ACTIVE", end)

    def test_a_planned_window_that_ended_before_the_target_answered_gives_nothing(
        self, world: World, door: Door
    ) -> None:
        request = planned(world, ago=400)
        door("ada", request)
        ElevationRequest.objects.update(starts_at=clock.now() - dt.timedelta(seconds=595))
        grant = Grant.objects.get(request=request)
        activate.activate(grant_id=grant.pk)
        grant.refresh_from_db()
        assert (grant.state, grant.end_reason) == ("WITHDRAWN", "activation-failed")
        assert "The time that was planned ended at" in grant.end_comment

    def test_after_the_withdrawal(self, world: World, door: Door) -> None:
        request = world.ask()
        lapse.withdraw(request_id=request.pk, user=world.user("rita"), actor=world.actor("rita"))
        status, words = door("ada", request)
        assert status == 409
        assert "withdrew this request at" in words

    def test_on_an_older_step_never_counts_for_a_later_one(self, world: World, door: Door) -> None:
        request = world.ask(role=ADMIN)
        first = str(Step.objects.get(chain__request=request, position=1).pk)
        assert door("ada", request, step=first)[0] in DONE
        status, words = door("olga", request, step=first)
        assert status == 409
        assert "Step 1 is over" in words

    def test_on_a_step_that_is_none_of_the_requests_decides_nothing(
        self, world: World, door: Door
    ) -> None:
        """A random or foreign step was taken for none, and the decision counted."""
        request, other = world.ask(), world.ask(username="ada", role=READER)
        foreign = str(Step.objects.get(chain__request=other).pk)
        for step in (foreign, str(uuid.uuid4()), str(uuid.UUID(int=0))):
            for decision in ("approve", "deny"):
                status, words = door("bo", request, decision, step=step, comment="No.")
                assert status == 409
                assert "open the request again" in words
        assert still_open(request)
        assert not Decision.objects.exists()


class TestWhoMay:
    def test_never_the_requester(self, world: World, door: Door) -> None:
        door.lend("ada", "rita")
        request = world.ask()
        status, words = door("rita", request)
        assert status == 403
        assert "rita asked for this" in words
        assert still_open(request)

    def test_never_a_second_account_of_the_requester(self, world: World, door: Door) -> None:
        User.objects.filter(username="bo").update(person_id=world.user("rita").person_id)
        request = world.ask()
        assert door("bo", request)[0] == 403
        assert still_open(request)

    def test_who_lost_the_group_hears_why_and_the_step_stays_open(
        self, world: World, door: Door
    ) -> None:
        request = world.ask()
        leave(world, "ada")
        status, words = door("ada", request)
        assert status == 403
        assert "not (or no longer) one of them" in words
        assert still_open(request)

    def test_whose_delegation_ended_hears_why_and_the_step_stays_open(
        self, world: World, door: Door
    ) -> None:
        door.lend("ada", "otto")
        request = world.ask()
        delegation.revoke(
            delegation=Delegation.objects.get(),
            user=world.user("ada"),
            actor=world.actor("ada"),
            now=clock.now(),
        )
        status, words = door("otto", request)
        assert status == 403
        assert "nor stands in for one now" in words
        assert still_open(request)

    def test_a_stand_in_is_shown_as_one_for_another(self, world: World, door: Door) -> None:
        door.lend("ada", "otto")
        request = world.ask()
        assert door("otto", request)[0] in DONE
        assert Decision.objects.get().who == "otto for ada"

    def test_an_approver_of_step_one_is_not_counted_in_step_two(
        self, world: World, door: Door
    ) -> None:
        join(world, "ada", group="sre-managers")
        request = world.ask(role=ADMIN)
        assert door("ada", request)[0] in DONE
        status, words = door("ada", request, step=str(Step.objects.get(state="OPEN").pk))
        assert status == 403
        assert "one person counts once" in words

    def test_a_disabled_account_has_no_door(self, world: World, door: Door) -> None:
        request = world.ask()
        assert "Pending" in door.reads("ada", request).title()
        identity.disable_user(user=world.user("ada"), actor=people.INSTALLER, now=clock.now())
        assert door("ada", request)[0] in {302, 401}  # to the sign-in page; a token is nobody's
        assert still_open(request)

    def test_a_stand_in_lends_a_voice_on_to_nobody(self, world: World, door: Door) -> None:
        people.person("gus")
        door.lend("ada", "olga")
        assert door.lend("olga", "gus")[0] in DONE
        request = world.ask()
        assert door("gus", request)[0] == 404
        assert still_open(request)

    def test_nobody_stands_in_for_the_requester(self, world: World, door: Door) -> None:
        join(world, "rita")
        door.lend("rita", "otto")
        request = world.ask()
        status, words = door("otto", request)
        assert status == 403
        assert "nobody can decide on it for rita" in words
        assert still_open(request)

    def test_a_delegation_round_in_a_circle_is_refused(self, world: World, door: Door) -> None:
        assert door.lend("ada", "olga")[0] in DONE
        assert door.lend("olga", "bo")[0] in DONE
        status, words = door.lend("bo", "ada")
        assert status == 422
        assert "leads back to bo" in words
        assert Delegation.objects.count() == 2

    def test_a_role_that_wants_more_than_a_click_takes_a_code_for_this_very_act(
        self, world: World, door: Door
    ) -> None:
        now = clock.now()
        app = people.enrolled(world.user("ada"), now=now)
        request = world.ask()
        request.ruling["obligations"]["approval_strength"] = "web_phishing_resistant"
        request.save(update_fields=["ruling"])
        status, words = door("ada", request)
        assert status == 403
        assert "second factor given for this decision" in words
        assert still_open(request)
        assert door("ada", request, otp=app.code(now))[0] in DONE
        assert Decision.objects.get().second_factor

    def test_a_stranger_does_not_even_see_it(self, world: World, door: Door) -> None:
        request = world.ask()
        assert door("otto", request)[0] == 404
        assert still_open(request)

    def test_an_operator_not_by_virtue_of_that(self, world: World, door: Door) -> None:
        request = world.ask()
        assert door("opal", request)[0] == 403
        assert still_open(request)


class TestHowLong:
    def test_may_be_shorter_and_never_longer(self, world: World, door: Door) -> None:
        request = world.ask()
        many = {"duration_seconds": 1200, "minutes": 20}
        assert door("ada", request, **many)[0] == 422
        assert still_open(request)
        assert door("ada", request, duration_seconds=300, minutes=5)[0] in DONE
        request.refresh_from_db()
        assert request.granted_seconds == 300

    def test_the_shorter_time_of_the_first_step_binds_the_second(
        self, world: World, door: Door
    ) -> None:
        request = world.ask(role=ADMIN)
        assert door("ada", request, duration_seconds=120, minutes=2)[0] in DONE
        assert door("olga", request, duration_seconds=300, minutes=5)[0] == 422
        assert door("olga", request)[0] in DONE
        assert Grant.objects.get(request=request).duration_seconds == 120

    def test_a_denial_takes_a_reason(self, world: World, door: Door) -> None:
        request = world.ask()
        status, words = door("ada", request, "deny", comment="   ")
        assert status == 422
        assert "needs a reason" in words
        assert still_open(request)


class TestQuorum:
    def test_counts_two_people_and_not_two_clicks(self, world: World, door: Door) -> None:
        request = world.ask()
        Step.objects.update(quorum=2)
        door("ada", request)
        door("ada", request)
        request.refresh_from_db()
        assert request.state == "PENDING"
        door("bo", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"
        assert Decision.objects.count() == 2

    def test_a_voice_and_its_stand_in_count_once(self, world: World, door: Door) -> None:
        door.lend("ada", "otto")
        request = world.ask()
        Step.objects.update(quorum=2)
        assert door("otto", request)[0] in DONE
        status, words = door("ada", request)
        assert status == 403
        assert "for you" in words
        request.refresh_from_db()
        assert request.state == "PENDING"

    def test_everybody_gone_asks_the_owners_and_approves_nothing(
        self, world: World, door: Door
    ) -> None:
        request = world.ask()
        leave(world, "ada", "bo")
        Step.objects.update(look_at=clock.now())
        escalation.watch()
        request.refresh_from_db()
        assert request.state == "PENDING"
        assert door("olga", request)[0] in DONE
        request.refresh_from_db()
        assert request.state == "APPROVED"

    def test_who_joins_the_group_is_asked_and_counts(self, world: World, door: Door) -> None:
        request = world.ask()
        assert door("otto", request)[0] == 404
        join(world, "otto")
        escalation.look_soon("group:payments-leads")
        assert escalation.watch() == 1
        assert "otto" in door.reads("rita", request)
        assert door("otto", request)[0] in DONE
        assert Decision.objects.get().approver.username == "otto"

    def test_an_overdue_step_asks_further_and_the_first_stay(
        self, world: World, door: Door
    ) -> None:
        first, second = world.ask(), world.ask(role=ADMIN)
        for request in (first, second):
            assert door("olga", request)[0] == 403
            overdue(request)
        escalation.watch()
        assert still_open(first)
        assert door("olga", first)[0] in DONE
        assert door("bo", second)[0] in DONE
