"""What the shipped demo policy says to the demo's people, apart from its own tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from jit.policy import engine
from jit.policy.compiler import compile_bundle
from jit.policy.facts import build
from jit.policy.ruling import Outcome
from tests.jit.policy.support import NOW

POLICIES = Path(__file__).parents[3] / "policies"
BUNDLE = compile_bundle({path.name: path.read_text() for path in POLICIES.glob("*.yaml")})
GROUPS = {
    "rita": ["payments-sre"], "ada": ["payments-leads"], "olga": ["sre-managers"], "otto": []
}  # fmt: skip
RISKS = {"reader": "low", "writer": "medium", "admin": "high"}
TICKETS = {
    "OPS-1": {"is_open": True, "severity": 2, "assignee": "rita"},
    "OPS-2": {"is_open": False, "severity": 2, "assignee": "rita"},
    "OPS-3": {"is_open": True, "severity": 3, "assignee": "bo"},
    "OPS-4": {"is_open": True, "severity": 1, "assignee": "rita"},
}


def ask(name, role, ticket, seconds=1800):
    facts = build(
        user={"id": name, "groups": GROUPS[name]},
        role={"slug": f"orders-db-{role}", "risk": RISKS[role], "max_duration": "4h"},
        target={"slug": "orders-db", "kind": "postgresql", "env": "prod", "team": "payments"},
        ticket={
            "system": "local",
            "key": ticket,
            "known": True,
            "opened_by": "monitoring",
            "changed_by": [],
            **TICKETS[ticket],
        },
        request={"duration": seconds, "change_freeze": False, "channel": "api"},
        now=NOW,
    )
    return engine.rule(bundle=BUNDLE, facts=facts, now=NOW)


class TestRita:
    @pytest.mark.parametrize("ticket", ["OPS-1", "OPS-4"])
    @pytest.mark.parametrize(
        ("role", "seconds", "chain"),
        [
            ("reader", 1800, []),
            ("writer", 7200, [("group:payments-leads",)]),
            ("admin", 3600, [("group:payments-leads",), ("role-owner",)]),
        ],
    )
    def test_may_ask_for_all_three(self, ticket, role, seconds, chain):
        ruling = ask("rita", role, ticket)
        assert ruling.outcome is (Outcome.NEEDS_APPROVAL if chain else Outcome.AUTO)
        assert ruling.max_duration_seconds == seconds
        assert [step.any_of for step in ruling.chain] == chain
        assert not ruling.obligations.same_person_may_repeat
        assert ruling.alternatives == ()

    def test_needs_a_lead_for_somebody_elses_ticket(self):
        assert ask("rita", "reader", "OPS-3").outcome is Outcome.NEEDS_APPROVAL

    @pytest.mark.parametrize("role", RISKS)
    def test_gets_nothing_for_a_closed_ticket(self, role):
        assert ask("rita", role, "OPS-2").outcome is Outcome.NOT_ELIGIBLE

    @pytest.mark.parametrize(
        ("role", "allowed"), [("reader", False), ("writer", True), ("admin", True)]
    )
    def test_may_break_glass_to_write_and_to_administer(self, role, allowed):
        glass = ask("rita", role, "OPS-1").break_glass
        assert glass.allowed is allowed
        if allowed:
            assert (glass.max_duration_seconds, glass.review_due_seconds) == (900, 86400)


class TestOtherPeople:
    @pytest.mark.parametrize("role", RISKS)
    @pytest.mark.parametrize("name", ["otto", "olga"])
    def test_get_nothing(self, name, role):
        ruling = ask(name, role, "OPS-4")
        assert ruling.outcome is Outcome.NOT_ELIGIBLE
        assert not ruling.break_glass.allowed
        assert "payments-sre" in ruling.missing[0]

    def test_who_lead_may_read_and_write_but_not_administer(self):
        assert ask("ada", "reader", "OPS-1").outcome is Outcome.NEEDS_APPROVAL
        assert ask("ada", "writer", "OPS-1").outcome is Outcome.NEEDS_APPROVAL
        assert ask("ada", "admin", "OPS-1").outcome is Outcome.NOT_ELIGIBLE
