"""The clock and two approvers at one instant: one decision, one grant, one escalation."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from approvals import escalation
from approvals.models import Decision, Step
from approvals.rules import AlreadyDecided
from jit.audit.models import AuditEvent
from jit.elevation.models import Grant
from jit.kernel import clock
from tests.races.support import at_once


class TestEscalation:
    def test_by_several_workers_is_one(self, world: Any) -> None:
        request = world.ask()
        past = clock.now() - dt.timedelta(seconds=5)
        Step.objects.update(escalate_to=["group:sre-managers"], escalate_at=past, look_at=past)
        at_once([escalation.watch] * 4)
        events = AuditEvent.objects.filter(action="step.escalated", request_id=request.pk)
        assert events.count() == 1
        assert not Grant.objects.filter(request=request).exists()

    def test_the_escalated_approver_answers_while_the_first_one_does(self, world: Any) -> None:
        request = world.ask()
        past = clock.now() - dt.timedelta(seconds=5)
        Step.objects.update(escalate_to=["group:sre-managers"], escalate_at=past, look_at=past)
        escalation.watch()
        answers = at_once([partial(world.decide, name, request) for name in ("olga", "ada")])
        lost = [answer for answer in answers if isinstance(answer, Exception)]
        assert [type(one) for one in lost] == [AlreadyDecided]
        assert Decision.objects.count() == 1
        assert Grant.objects.filter(request=request).count() == 1
