from __future__ import annotations

import json
from pathlib import Path

from jit.policy import cases
from jit.policy.compiler import compile_bundle
from jit.policy.ruling import Clause, Outcome, Ruling, Shadow, StepSpec

POLICIES = Path(__file__).parents[3] / "policies"


class TestAsJson:
    def test_is_given_back_by_from_json_for_every_case_of_the_shipped_policies(self):
        files = {path.name: path.read_text() for path in POLICIES.glob("*.yaml")}
        for result in cases.run(compile_bundle(files)):
            assert result.ruling is not None
            stored = json.loads(json.dumps(result.ruling.as_json()))
            assert Ruling.from_json(stored) == result.ruling

    def test_keeps_the_shadow(self):
        step = StepSpec(any_of=("user:ada",), escalate_to=("user:bo",), escalate_after_seconds=60)
        shadow = Shadow(Outcome.NEEDS_APPROVAL, "new", ("g",), 60, (step,), ("outcome",))
        ruling = Ruling(outcome=Outcome.AUTO, chain=(step,), shadow=shadow)
        assert Ruling.from_json(json.loads(json.dumps(ruling.as_json()))) == ruling


class TestMissing:
    def test_is_of_the_rule_that_the_person_is_closest_to(self):
        trace = (
            Clause("far", "who", "a", False, "not you"),
            Clause("far", "when[0]", "b", False, "closed"),
            Clause("near", "who", "c", True, ""),
            Clause("near", "when[0]", "d", False, "SEV3"),
            Clause("near", "when[1]", "e", True, "assigned"),
        )
        assert Ruling(outcome=Outcome.NOT_ELIGIBLE, trace=trace).missing == ("SEV3",)

    def test_tells_a_stranger_only_that_it_is_not_for_them(self):
        trace = (
            Clause("far", "who", "a", False, "not you"),
            Clause("far", "when[0]", "b", False, "closed"),
        )
        assert Ruling(outcome=Outcome.NOT_ELIGIBLE, trace=trace).missing == ("not you",)

    def test_says_every_guardrail_that_refused(self):
        trace = (
            Clause("one", "deny_when", "a", False, "frozen"),
            Clause("two", "deny_when", "b", True, "fine"),
            Clause("three", "deny_when", "c", False, "night"),
        )
        assert Ruling(outcome=Outcome.DENIED, trace=trace).missing == ("frozen", "night")

    def test_is_empty_where_it_is_admitted(self):
        assert Ruling(outcome=Outcome.AUTO).missing == ()

    def test_says_something_where_no_rule_fits(self):
        assert Ruling(outcome=Outcome.NOT_ELIGIBLE).missing
