"""What is not known is never a yes, whichever way round a clause asks for it."""

from __future__ import annotations

import pytest

from jit.policy import engine
from jit.policy.facts import ATTRIBUTES, Facts, Kind, build
from jit.policy.ruling import Outcome
from jit.policy.unknowns import unknown
from tests.jit.policy.support import NOW, compiled, rule

LEADS = (
    "[{if: %r, chain: []}, {if: true, chain: [{any_of: [group:payments-leads], lapse_after: 1h}]}]"
)
ON_CALL = ["user.on_call_for", "user.on_call_left", "user.acknowledged_for"]
OF_A_TICKET = [
    f"ticket.{name}"
    for name in (
        "status", "is_open", "severity", "assignee", "service", "type", "opened_by",
        "changed_by", "age",
    )
]  # fmt: skip
CLAUSES = {
    Kind.STRING: ['{0} == "x"', '{0} != "x"', "{0} == user.id", "{0} != user.id",
                  '{0} in ["a", "b"]', '!({0} in ["a", "b"])'],
    Kind.STRINGS: ['"x" in {0}', '!("x" in {0})', "user.id in {0}", "!(user.id in {0})"],
    Kind.BOOL: ["{0}", "!{0}"],
    Kind.INT: ["{0} <= 2", "{0} > 2", "{0} == 3", "{0} != 3"],
    Kind.DURATION: ['{0} >= duration("10m")', '{0} < duration("10m")'],
}  # fmt: skip
ASKED = [
    (name, clause.format(name))
    for name in (*ON_CALL, *OF_A_TICKET)
    for clause in CLAUSES[ATTRIBUTES[name].kind]
]


def facts(name: str) -> Facts:
    """Return facts in which `name` (and what its resolver tells with it) is not known."""
    ticket = {
        "system": "jira", "key": "OPS-1", "known": True, "is_open": True, "status": "open",
        "severity": 2, "assignee": "rita", "service": "orders", "type": "bug", "age": "1h",
        "opened_by": "monitoring", "changed_by": [], "unknown": [name.removeprefix("ticket.")],
    }  # fmt: skip
    return build(
        user={"id": "rita", "groups": ["payments-sre"], "on_call_known": name not in ON_CALL},
        role={"slug": "orders-db-reader", "risk": "low", "max_duration": "4h"},
        ticket=ticket,
        request={"duration": "30m", "change_freeze": False},
        now=NOW,
    )


class TestRule:
    @pytest.mark.parametrize(("name", "clause"), ASKED)
    def test_an_unknown_fact_fulfils_no_clause(self, name: str, clause: str) -> None:
        bundle = compiled(rule(when=f"[{{expr: {clause!r}, message: no}}]"))
        ruling = engine.rule(bundle=bundle, facts=facts(name), now=NOW)
        assert ruling.outcome is Outcome.NOT_ELIGIBLE
        assert ruling.missing == (f"Not known: {name}. What is not known is never a yes.",)

    @pytest.mark.parametrize(("name", "clause"), ASKED)
    def test_an_unknown_fact_opens_no_empty_chain(self, name: str, clause: str) -> None:
        ruling = engine.rule(
            bundle=compiled(rule(approvals=LEADS % clause)), facts=facts(name), now=NOW
        )
        assert ruling.outcome is Outcome.NEEDS_APPROVAL

    @pytest.mark.parametrize(("name", "clause"), ASKED)
    def test_an_unknown_fact_passes_no_guardrail(self, name: str, clause: str) -> None:
        guardrail = f"[{{id: g, description: d, match: {{}}, deny_when: {clause!r}, message: no}}]"
        bundle = compiled(rule(), guardrails=guardrail)
        ruling = engine.rule(bundle=bundle, facts=facts(name), now=NOW)
        assert ruling.outcome is Outcome.DENIED
        assert not ruling.surely_denied

    @pytest.mark.parametrize(("name", "clause"), ASKED)
    def test_a_known_fact_answers_one_way_or_the_other(self, name: str, clause: str) -> None:
        known = facts("user.id").with_values({"ticket.unknown": [], "user.on_call_known": True})
        bundle = compiled(rule(when=f"[{{expr: {clause!r}, message: no}}]"))
        trace = engine.rule(bundle=bundle, facts=known, now=NOW).trace
        assert {clause.passed for clause in trace} <= {True, False}

    def test_the_shorter_of_the_possible_durations_is_given(self) -> None:
        bundle = compiled(
            rule(max_duration='\'ticket.severity == 1 ? duration("4h") : duration("1h")\'')
        )
        ruling = engine.rule(bundle=bundle, facts=facts("ticket.severity"), now=NOW)
        assert ruling.max_duration_seconds == 3600

    def test_a_clause_of_countless_unknowns_is_not_fulfilled(self) -> None:
        clause = " || ".join(f'{name} == "{n}"' for n in range(9) for name in OF_A_TICKET[3:6])
        silent = facts("ticket.severity").with_values({"ticket.known": False})
        bundle = compiled(
            rule(), guardrails=f"[{{id: g, description: d, match: {{}}, deny_when: {clause!r}, "
            "message: no}]",
        )  # fmt: skip
        assert engine.rule(bundle=bundle, facts=silent, now=NOW).outcome is Outcome.DENIED


class TestUnknown:
    def test_is_all_of_a_ticket_whose_system_is_silent(self) -> None:
        silent = facts("user.id").with_values({"ticket.known": False, "user.on_call_known": True})
        assert unknown(silent) == {*OF_A_TICKET, "ticket.window"}

    def test_is_what_nobody_gave_of_a_ticket(self) -> None:
        given = build(user={"on_call_known": True}, role={}, request={}, now=NOW,
                      ticket={"key": "OPS-1", "known": True})  # fmt: skip
        untold = {
            f"ticket.{name}"
            for name in ("opened_by", "changed_by", "age", "severity", "status", "service", "type")
        }
        assert unknown(given) == untold
        assert unknown(Facts.from_json(given.as_json())) == untold

    def test_is_nothing_where_there_is_no_ticket(self) -> None:
        given = build(user={"on_call_known": True}, role={}, request={}, now=NOW, ticket=None)
        assert unknown(given) == frozenset()
