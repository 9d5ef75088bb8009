"""Several words on one request at one instant: one of them counts, and the log has one order."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from approvals.models import Chain, Decision, Step
from approvals.rules import AlreadyDecided, RequestWithdrawn
from jit.audit.models import AuditEvent
from jit.elevation.models import ElevationRequest, Grant
from jit.kernel import clock
from jit.kernel.errors import Conflict, DomainError
from jit.workflow import lapse
from tests.races.support import at_once
from tests.support import people
from tests.support.world import ADMIN

APPROVERS = 16


def actions(request: ElevationRequest) -> list[str]:
    rows = AuditEvent.objects.filter(request_id=request.pk).order_by("seq")
    return list(rows.values_list("action", flat=True))


class TestApprovals:
    def test_of_one_step_by_sixteen_make_one_grant(self, world: Any) -> None:
        leads = [f"lead-{number}" for number in range(APPROVERS)]
        for name in leads:
            people.person(name, "payments-leads")
        request = world.ask()
        answers = at_once([partial(world.decide, name, request) for name in leads])
        won = [answer for answer in answers if not isinstance(answer, Exception)]
        lost = [answer for answer in answers if isinstance(answer, Exception)]
        assert len(won) == 1
        assert {type(answer) for answer in lost} == {AlreadyDecided}
        assert Decision.objects.count() == 1
        assert Grant.objects.filter(request=request).count() == 1
        assert actions(request).count("request.approved") == 1
        assert actions(request).count("step.approved") == 1
        assert actions(request).count("decision.refused") == APPROVERS - 1

    def test_by_one_person_sixteen_times_are_one_decision(self, world: Any) -> None:
        request = world.ask()
        answers = at_once([partial(world.decide, "ada", request)] * APPROVERS)
        assert [type(answer).__name__ for answer in answers] == ["Outcome"] * APPROVERS
        assert sum(not answer.repeated for answer in answers) == 1
        assert Decision.objects.count() == 1
        assert Grant.objects.filter(request=request).count() == 1

    def test_of_two_steps_do_not_run_ahead(self, world: Any) -> None:
        request = world.ask(role=ADMIN)
        at_once([partial(world.decide, name, request) for name in ("ada", "olga", "bo")] * 3)
        request.refresh_from_db()
        by_step = {
            step.position: {decision.approver.username for decision in step.decisions.all()}
            for step in Step.objects.filter(chain__request=request)
        }
        assert len(by_step[1]) == 1
        assert by_step[1] <= {"ada", "bo"}
        assert by_step[2] <= {"olga"}
        assert (request.state == "APPROVED") is bool(by_step[2])


class TestApproveAgainst:
    @pytest.mark.parametrize("_again", range(3))
    def test_deny_has_one_winner(self, world: Any, _again: int) -> None:
        request = world.ask()
        answers = at_once(
            [
                partial(world.decide, "ada", request, "approve"),
                partial(world.decide, "bo", request, "deny", comment="No."),
            ]
        )
        assert sum(isinstance(answer, AlreadyDecided) for answer in answers) == 1
        request.refresh_from_db()
        assert Grant.objects.filter(request=request).exists() is (request.state == "APPROVED")
        assert Chain.objects.get(request=request).state == request.state

    @pytest.mark.parametrize("_again", range(3))
    def test_withdraw_has_one_winner(self, world: Any, _again: int) -> None:
        request, rita, actor = world.ask(), world.user("rita"), world.actor("rita")
        answers = at_once(
            [
                partial(world.decide, "ada", request),
                partial(lapse.withdraw, request_id=request.pk, user=rita, actor=actor),
            ]
        )
        raised = [answer for answer in answers if isinstance(answer, Exception)]
        assert len(raised) == 1
        assert isinstance(raised[0], (RequestWithdrawn, lapse.NotPending))
        request.refresh_from_db()
        assert Grant.objects.filter(request=request).exists() is (request.state == "APPROVED")

    @pytest.mark.parametrize("_again", range(3))
    def test_lapse_has_one_winner(self, world: Any, _again: int) -> None:
        request = world.ask()
        ElevationRequest.objects.filter(pk=request.pk).update(lapses_at=clock.now())
        answers = at_once(
            [
                # The approver's clock is a moment behind the database's.
                partial(world.decide, "ada", request, now=request.created_at),
                lapse.lapse_due,
                lapse.lapse_due,
            ]
        )
        for answer in answers:
            assert not isinstance(answer, Exception) or isinstance(answer, DomainError)
        request.refresh_from_db()
        assert request.state in {"APPROVED", "LAPSED"}
        assert Grant.objects.filter(request=request).exists() is (request.state == "APPROVED")
        assert Chain.objects.get(request=request).state == (
            "APPROVED" if request.state == "APPROVED" else "CANCELLED"
        )


class TestSubmit:
    def test_of_the_same_role_many_times_is_one_request(self, world: Any) -> None:
        answers = at_once([world.ask] * 8)
        made = [answer for answer in answers if isinstance(answer, ElevationRequest)]
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert len(made) == 1
        assert all(isinstance(answer, DomainError) for answer in refused), refused
        assert {answer.code for answer in refused} == {"AlreadyPending"}
        assert ElevationRequest.objects.count() == 1

    def test_with_one_key_many_times_is_one_request_for_all(self, world: Any) -> None:
        from jit.workflow import submit

        ask = submit.Ask(
            role="orders-db-writer",
            ticket=world.tickets["sev2"],
            justification="One click, sent eight times.",
            duration_seconds=600,
        )
        once = partial(
            submit.submit,
            requester=world.user("rita"),
            ask=ask,
            actor=world.actor("rita"),
            now=clock.now(),
            idempotency_key="one-click",
        )
        answers = at_once([once] * 8)
        assert not [answer for answer in answers if isinstance(answer, Exception)]
        assert len({request.pk for request, _ in answers}) == 1
        assert sum(new for _, new in answers) == 1

    def test_of_an_automatic_role_many_times_is_one_grant(self, world: Any) -> None:
        answers = at_once([partial(world.ask, role="orders-db-reader")] * 8)
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert len(refused) == 7
        assert all(isinstance(answer, (DomainError, Conflict)) for answer in refused), refused
        assert Grant.objects.count() == 1
