"""A ruling as the sentences beside the form."""

from __future__ import annotations

from jit.policy.ruling import Obligations, Outcome, Ruling, StepSpec
from jit.web import rulings


class TestRungs:
    def test_says_whom_each_step_asks(self) -> None:
        ruling = Ruling(
            outcome=Outcome.NEEDS_APPROVAL,
            chain=(StepSpec(any_of=("group:leads",)), StepSpec(any_of=("role-owner",), quorum=2)),
        )
        first, second = rulings.rungs(ruling.as_json())
        assert (first.asks, first.quorum, first.answer_within) == ("one of leads", 1, "1 h")
        assert (second.asks, second.quorum) == ("an owner of the role", 2)


class TestSentences:
    def test_says_what_an_admitted_request_owes(self) -> None:
        ruling = Ruling(
            outcome=Outcome.AUTO,
            max_duration_seconds=1800,
            obligations=Obligations(mfa_max_age_seconds=300, review_after=True, record="required"),
        )
        said = " ".join(one.text for one in rulings.sentences(ruling.as_json()))
        for words in (
            "Nobody need approve",
            "Up to 30 min",
            "no older than 5 min",
            "ends early if the ticket is closed",
            "recorded",
            "reviewed afterwards",
            "second factor, on the web",
        ):
            assert words in said

    def test_says_only_what_is_missing_of_a_refused_one(self) -> None:
        ruling = Ruling(outcome=Outcome.NOT_ELIGIBLE).as_json()
        assert [one.text for one in rulings.sentences(ruling, missing=["Be on call."])] == [
            "Be on call."
        ]


class TestConditions:
    def test_a_guardrail_that_did_not_refuse_is_no_green_tick(self) -> None:
        clause = {
            "rule": "freeze",
            "part": "deny_when",
            "text": "request.change_freeze && request.duration > duration('1h')",
            "passed": True,
            "message": "",
            "values": {"request.change_freeze": False, "request.duration": 900},
        }
        (one,) = rulings.conditions([clause])
        assert (one.kind, one.went, one.tone) == ("refuses if", "did not refuse", "calm")
        assert one.values == ("request.change_freeze = false", "request.duration = 15 min")

    def test_a_break_glass_clause_is_told_from_what_the_request_needs(self) -> None:
        clause = {"rule": "r", "part": "break_glass.allowed", "text": "true", "passed": False}
        (one,) = rulings.conditions([{**clause, "message": "For sre.", "values": {}}])
        assert (one.kind, one.went, one.message) == (
            "break-glass needs",
            "did not hold",
            "For sre.",
        )
