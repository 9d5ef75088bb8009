from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals import rules

RITA, ADA, BO = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
ASK = rules.Ask(
    approver_person=ADA,
    approver_name="ada",
    approver_expressions=frozenset({"user:ada", "group:payments-leads"}),
    approver_active=True,
    requester_person=RITA,
    requester_name="rita",
    position=1,
    resolved=("group:payments-leads",),
    voices=(),
    same_person_may_repeat=False,
    verdict="approve",
    comment="",
    asked_seconds=600,
    shorter_seconds=None,
)


class TestJudge:
    def test_lets_an_approver_through(self) -> None:
        rules.judge(ASK)

    @given(
        expressions=st.frozensets(st.sampled_from(["user:rita", "group:payments-leads"])),
        resolved=st.lists(st.sampled_from(["user:rita", "group:payments-leads"])).map(tuple),
        repeat=st.booleans(),
        verdict=st.sampled_from(["approve", "deny"]),
    )
    def test_never_lets_the_requester_through(
        self,
        expressions: frozenset[str],
        resolved: tuple[str, ...],
        repeat: bool,
        verdict: str,
    ) -> None:
        with pytest.raises(rules.SelfApproval):
            rules.judge(
                replace(
                    ASK,
                    approver_person=RITA,
                    approver_expressions=expressions,
                    resolved=resolved,
                    same_person_may_repeat=repeat,
                    verdict=verdict,
                    comment="because",
                )
            )

    @pytest.mark.parametrize("resolved", [(), ("group:other",), ("user:bo",)])
    def test_refuses_whom_the_step_does_not_ask(self, resolved: tuple[str, ...]) -> None:
        with pytest.raises(rules.NotAnApprover):
            rules.judge(replace(ASK, resolved=resolved))

    def test_lets_a_person_repeat_in_a_later_step_where_the_policy_says_so(self) -> None:
        earlier = replace(ASK, position=2, voices=(rules.Voice(ADA, "approve", 1, "ada"),))
        with pytest.raises(rules.AlreadyCounted):
            rules.judge(earlier)
        rules.judge(replace(earlier, same_person_may_repeat=True))

    @pytest.mark.parametrize("seconds", [0, 9, 601, -1])
    def test_refuses_a_duration_that_is_not_shorter(self, seconds: int) -> None:
        with pytest.raises(rules.DurationNotShorter):
            rules.judge(replace(ASK, shorter_seconds=seconds))


class TestMet:
    @given(st.lists(st.sampled_from([RITA, ADA, BO])), st.integers(1, 4))
    def test_counts_people_and_not_clicks(self, voices: list[uuid.UUID], quorum: int) -> None:
        assert rules.met(approvals=voices, quorum=quorum) == (len(set(voices)) >= quorum)
