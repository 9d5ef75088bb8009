"""Whatever a resolver does instead of answering, nothing is activated for it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from jit.audit.models import AuditEvent
from jit.elevation import provisioning
from jit.elevation.models import ElevationRequest, Grant
from jit.identity import queries as identity
from jit.kernel import clock
from jit.oncall import queries as on_call
from jit.oncall.queries import Standing
from jit.tickets import operations as tickets
from jit.tickets import queries
from jit.tickets.adapters.base import TicketNotFound, TicketSnapshot, TicketSystemUnavailable
from jit.tickets.adapters.local import Local
from jit.workflow import activate, ask_again, extend
from tests.jit.policy.support import rule
from tests.support.policies import put_in_force
from tests.support.world import READER, World

FETCH, STANDING, GROUPS = Local.fetch, on_call.standing, identity.groups_of
type Fault = Callable[[pytest.MonkeyPatch], None]


def _ticket(answer: Callable[[TicketSnapshot], TicketSnapshot]) -> Fault:
    def fault(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(Local, "fetch", lambda self, key: answer(FETCH(self, key)))

    return fault


def _raises(error: Exception) -> Callable[..., Any]:
    def raising(*_args: object, **_more: object) -> Any:
        raise error

    return raising


def _patched(where: Any, name: str, answer: Callable[..., Any]) -> Fault:
    return lambda patch: patch.setattr(where, name, answer)


def _empty(ticket: TicketSnapshot) -> TicketSnapshot:
    return dataclasses.replace(
        ticket, status="", is_open=False, severity=None, assignee=None, service="", type="",
        opened_by=None, opened_at=None, changed_by=None,
    )  # fmt: skip


def _partial(ticket: TicketSnapshot) -> TicketSnapshot:
    return dataclasses.replace(
        ticket, severity=None, opened_by=None, opened_at=None, changed_by=None,
        unknown=("assignee", "service", "type", "status"),
    )  # fmt: skip


TICKET = {
    "error": _patched(Local, "fetch", _raises(RuntimeError("a bug"))),
    "gone": _patched(Local, "fetch", _raises(TicketNotFound("gone"))),
    "timeout": _patched(Local, "fetch", _raises(TicketSystemUnavailable("no answer"))),
    "empty": _ticket(_empty),
    "partial": _ticket(_partial),
}
ON_CALL = {
    "error": _patched(on_call, "standing", _raises(RuntimeError("a bug"))),
    "timeout": _patched(on_call, "standing", lambda *_a, **_m: Standing(known=False)),
    "empty": _patched(on_call, "standing", lambda *_a, **_m: Standing(known=False)),
    "partial": _patched(
        on_call,
        "standing",
        lambda *_a, **_m: Standing(
            on_call_for=("orders",), known=False, checks={"orders": "", "ledger": "it failed"}
        ),
    ),
}
THE_GROUPS = {
    "error": _patched(identity, "groups_of", _raises(RuntimeError("a bug"))),
    "empty": _patched(identity, "groups_of", lambda _user: frozenset()),
}
BY_TICKET = [
    'ticket.opened_by == "demo"', "ticket.opened_by != user.id", "!(user.id in ticket.changed_by)",
    'ticket.age >= duration("0s") && ticket.age < duration("9h")', "ticket.severity <= 2",
    "ticket.severity != 1", "ticket.assignee == user.id",
    'ticket.service != "ledger"', 'ticket.type != "test"', 'ticket.status != "Blocked"',
]  # fmt: skip
BY_ON_CALL = ['!("ledger" in user.on_call_for)', '"ledger" in user.on_call_for']
BY_GROUP = ['"payments-sre" in user.groups']
CASES = [
    pytest.param(fault, clauses, id=f"{resolver}-{how}")
    for resolver, faults, clauses in (
        ("ticket", TICKET, BY_TICKET),
        ("on-call", ON_CALL, BY_ON_CALL),
        ("groups", THE_GROUPS, BY_GROUP),
    )
    for how, fault in faults.items()
]
PLACES = ("when", "guardrail", "branch")


def resting_on(clause: str, place: str) -> None:
    """Put a policy in force that lets in by `clause` alone, standing in one of three places."""
    if place == "when":
        put_in_force(rule(when=f"[{{expr: {clause!r}, message: no}}]"))
    elif place == "guardrail":
        condition = f"deny_when: {f'!({clause})'!r}, message: no"
        put_in_force(rule(), guardrails=f"[{{id: g, description: d, match: {{}}, {condition}}}]")
    else:
        put_in_force(
            rule(
                approvals=f"[{{if: {clause!r}, chain: []}}, "
                "{if: true, chain: [{any_of: [group:payments-leads], lapse_after: 1h}]}]"
            )
        )


@contextlib.contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was given on the target; nothing is, in fact."""
    calls: list[object] = []
    monkeypatch.setattr(provisioning, "provision", lambda **call: calls.append(call))
    monkeypatch.setattr(provisioning, "extend", lambda **call: calls.append(call))
    return calls


@pytest.mark.parametrize(("fault", "clauses"), CASES)
class TestNoUnknownIsAYes:
    def test_at_submission(
        self, world: World, given: list[object], monkeypatch: pytest.MonkeyPatch,
        fault: Fault, clauses: list[str],
    ) -> None:  # fmt: skip
        for place, clause in itertools.product(PLACES, clauses):
            with undone(), monkeypatch.context() as patch:
                resting_on(clause, place)
                fault(patch)
                with contextlib.suppress(Exception):
                    world.ask(role=READER)
                assert not Grant.objects.exists(), (place, clause)
        assert given == []

    def test_at_activation_and_extension(
        self, world: World, given: list[object], monkeypatch: pytest.MonkeyPatch,
        fault: Fault, clauses: list[str],
    ) -> None:  # fmt: skip
        grant = Grant.objects.get(request=world.ask(role=READER))
        for place, clause in itertools.product(PLACES[:2], clauses):
            with undone(), monkeypatch.context() as patch:
                resting_on(clause, place)
                fault(patch)
                with contextlib.suppress(RuntimeError):
                    activate.activate(grant_id=grant.pk)
                assert not Grant.objects.filter(state__in=["ACTIVATING", "ACTIVE"]).exists(), (
                    place,
                    clause,
                )
        assert given == []


class TestSessions:
    @pytest.mark.parametrize("clause", BY_TICKET)
    def test_a_guardrail_holds_when_the_ticket_was_never_verified(
        self, world: World, clause: str
    ) -> None:
        """Denied was ignored at each session, and at activation, without a ticket."""
        grant = world.grant(role=READER)
        unverified(grant)
        for place in PLACES[:2]:
            with undone():
                resting_on(clause, place)
                with pytest.raises((ask_again.NoLongerEligible, ask_again.NotYet)):
                    ask_again.before_use(Grant.objects.get(pk=grant.pk), clock.now())

    def test_a_sure_denial_ends_a_grant_whose_ticket_system_is_silent(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        grant = Grant.objects.get(request=world.ask(role=READER))
        unverified(grant)
        guardrail = "[{id: g, description: d, match: {}, deny_when: 'true', message: Closed.}]"
        put_in_force(rule(more=EXTRA_STEP), guardrails=guardrail)
        TICKET["timeout"](monkeypatch)
        activate.activate(grant_id=grant.pk)
        grant.refresh_from_db()
        assert (grant.state, grant.end_reason) == ("WITHDRAWN", "policy")
        assert "Closed." in grant.end_comment


EXTRA_STEP = (
    "      on_ticket_unreachable: extra_step\n"
    "      extra_step: {any_of: [role-owner], lapse_after: 1h}"
)


def unverified(grant: Grant) -> None:
    """Make it a grant that an extra step was approved for: its ticket was never seen."""
    ElevationRequest.objects.filter(pk=grant.request_id).update(
        ticket={"key": grant.request.ticket_key, "system": "", "known": False}, ticket_system=""
    )


class TestATicketThatCouldNotBeChecked:
    @pytest.fixture
    def grant(self, world: World) -> Grant:
        put_in_force(rule(more=EXTRA_STEP))
        grant = Grant.objects.get(request=world.ask(role=READER))
        unverified(grant)
        return grant

    def test_is_checked_at_activation_and_kept(self, grant: Grant, given: list[object]) -> None:
        with contextlib.suppress(AttributeError):
            activate.activate(grant_id=grant.pk)
        assert len(given) == 1
        request = ElevationRequest.objects.get(pk=grant.request_id)
        assert (request.ticket_system, request.ticket["is_open"]) == ("local", True)

    def test_gives_nothing_once_it_is_known_to_be_closed(
        self, world: World, grant: Grant, given: list[object]
    ) -> None:
        ElevationRequest.objects.filter(pk=grant.request_id).update(
            ticket_key=world.tickets["closed"]
        )
        activate.activate(grant_id=grant.pk)
        grant.refresh_from_db()
        assert (grant.state, grant.end_reason, given) == ("WITHDRAWN", "ticket-closed", [])

    def test_is_let_in_by_the_extra_step_while_the_system_stays_silent(
        self, grant: Grant, given: list[object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        TICKET["timeout"](monkeypatch)
        with contextlib.suppress(AttributeError):
            activate.activate(grant_id=grant.pk)
        assert len(given) == 1

    def test_one_that_was_verified_is_waited_for(
        self, world: World, given: list[object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its extra step was never asked of anybody."""
        put_in_force(rule(more=EXTRA_STEP))
        grant = Grant.objects.get(request=world.ask(role=READER))
        TICKET["timeout"](monkeypatch)
        activate.activate(grant_id=grant.pk)
        grant.refresh_from_db()
        assert (grant.state, given) == ("SCHEDULED", [])
        assert "ticket system" in grant.waiting_for


class TestExtend:
    def test_a_policy_that_says_no_by_now_extends_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An approved extension was applied without asking anything again."""
        grant = world.grant(role=READER)
        request = world.ask(role=READER, extends=grant.pk, duration_seconds=300)
        calls: list[object] = []
        monkeypatch.setattr(provisioning, "extend", lambda **call: calls.append(call))
        with monkeypatch.context() as patch:
            TICKET["timeout"](patch)
            extend.extend(request_id=request.pk)
        grant.refresh_from_db()
        assert "waits for the ticket system" in grant.last_error
        put_in_force(
            rule(),
            guardrails="[{id: g, description: d, match: {}, deny_when: 'true', message: Closed.}]",
        )
        extend.extend(request_id=request.pk)
        assert calls == []
        request.refresh_from_db()
        assert request.extension_applied_at
        dropped = AuditEvent.objects.get(action="grant.extension-dropped")
        assert b"Closed." in bytes(dropped.body)


class TestOneSecondAccount:
    def test_a_ticket_of_ones_second_account_is_ones_own(self, world: World) -> None:
        rita, otto = world.user("rita"), world.user("otto")
        otto.person_id = rita.person_id
        otto.save(update_fields=["person_id"])

        row = tickets.open_ticket(
            title="t", severity=1, assignee="rita", actor=world.actor("otto"),
            now=clock.now() - dt.timedelta(hours=1),
        )  # fmt: skip
        request = world.ask(role=READER, ticket=row.key)
        assert request.state == "PENDING"
        assert request.ruling["facts"]["ticket"]["opened_by"] == "rita"

    def test_a_sev1_of_ones_own_needs_somebody_elses_yes(self, world: World) -> None:
        """Anybody opened a SEV1 ticket, assigned it to themselves and was let in."""

        row = tickets.open_ticket(
            title="t", severity=1, assignee="rita", actor=world.actor("rita"), now=clock.now()
        )
        assert world.ask(role=READER, ticket=row.key).state == "PENDING"

    def test_a_raised_severity_needs_somebody_elses_yes(self, world: World) -> None:

        row = queries.ticket_visible_to(world.user("rita"), world.tickets["sev2"])
        tickets.edit_ticket(
            ticket=row, changes={"severity": 1}, user=world.user("rita"),
            actor=world.actor("rita"), now=clock.now(),
        )  # fmt: skip
        assert world.ask(role=READER).state == "PENDING"
