from __future__ import annotations

import pytest

from jit.policy import cases
from jit.policy.compiler import compile_bundle
from jit.policy.facts import NO_SEVERITY, UnknownFact
from tests.jit.policy.support import policy, rule

DEFAULTS = (
    "{user: {id: rita}, role: {slug: orders-db-reader, risk: low, max_duration: 2h}, "
    "ticket: {key: OPS-1, known: true}, request: {duration: 30m}}"
)


def run(expect, given="{}", *rules, **parts):
    tests = f"{{defaults: {DEFAULTS}, cases: [{{name: x, given: {given}, expect: {expect}}}]}}"
    text = policy(*(rules or [rule()]), tests=tests, **parts)
    (result,) = cases.run(compile_bundle({"house.yaml": text}))
    return result


class TestRun:
    @pytest.mark.parametrize(
        "expect",
        [
            "{outcome: auto}",
            "{outcome: auto, rule: open-door, max_duration: 1h, approvals: [], guardrails: []}",
            "{outcome: auto, obligations: {on_ticket_closed: warn}, break_glass: false}",
        ],
    )
    def test_passes_what_comes_as_expected(self, expect):
        assert run(expect).passed

    @pytest.mark.parametrize(
        ("expect", "said"),
        [
            ("{outcome: denied}", "outcome: expected 'denied', got 'auto'"),
            ("{outcome: auto, rule: null}", "rule: expected None, got 'open-door'"),
            ("{outcome: auto, max_duration: 2h}", "max_duration: expected 7200, got 3600"),
            ("{outcome: auto, approvals: [[manager]]}", "approvals"),
            ("{outcome: auto, failed: ticket.is_open}", "did not fail"),
            ("{outcome: auto, guardrails: [g]}", "guardrails"),
            ("{outcome: auto, obligations: {record: required}}", "obligations.record"),
            ("{outcome: auto, obligations: {rekord: x}}", "there is no rekord"),
            ("{outcome: auto, break_glass: true}", "break_glass: expected True"),
            ("{outcome: auto, break_glass_max: 15m}", "break_glass_max: expected 900"),
        ],
    )
    def test_fails_what_does_not(self, expect, said):
        result = run(expect)
        assert not result.passed
        assert any(said in failure for failure in result.failures)

    def test_fails_on_a_fact_that_does_not_exist(self):
        assert "ticket.severty" in run("{outcome: auto}", "{ticket.severty: 1}").failures[0]

    def test_says_what_could_not_be_evaluated(self):
        result = run("{outcome: auto}", "{}", rule(who="role.tags.x == 'y'"))
        assert any("error: open-door.who" in failure for failure in result.failures)

    def test_enforces_a_shadowed_file_for_its_own_tests(self):
        assert run("{outcome: auto, rule: open-door}", mode="shadow").passed


class TestCaseFacts:
    def test_puts_what_is_given_over_the_defaults(self):
        found = cases.case_facts(
            {"ticket": {"severity": 3, "key": "OPS-1"}, "role": {"tags": {"a": "1"}}},
            {"ticket.severity": None, "role.tags.b": "2", "request.hour": 3},
        )
        assert found["ticket.severity"] == NO_SEVERITY
        assert found["ticket.key"] == "OPS-1"
        assert found["role.tags"] == {"a": "1", "b": "2"}
        assert found["request.hour"] == 3

    @pytest.mark.parametrize("given", [{"tickets.key": "x"}, {"x": 1}, {"ticket.is_open": "yes"}])
    def test_refuses_what_policy_cannot_read(self, given):
        with pytest.raises(UnknownFact):
            cases.case_facts({}, given)

    def test_refuses_defaults_of_nothing(self):
        with pytest.raises(UnknownFact, match="there is no device"):
            cases.case_facts({"device": {}}, {})

    def test_asks_at_the_time_that_is_given(self):
        found = cases.case_facts({"request": {"at": "2026-01-03T23:30:00Z"}}, {})
        assert (found["request.hour"], found["request.weekday"]) == (23, 6)
