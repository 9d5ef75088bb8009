from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jit.policy import engine
from jit.policy.compiler import compile_bundle
from jit.policy.facts import ATTRIBUTES, Facts, Kind
from jit.policy.ruling import Outcome
from tests.jit.policy.support import NOW, compiled, facts, policy, rule

LEADS = '[{if: true, chain: [{any_of: ["group:payments-leads"]}]}]'
BREAK_GLASS = """    break_glass:
      allowed: '"payments-sre" in user.groups'
      message: Break-glass is for payments-sre.
      max_duration: 15m
      review_within: 24h
      reviewers: ["group:sre-managers"]"""


def ask(bundle, **changes):
    return engine.rule(bundle=bundle, facts=facts(**changes), now=NOW)


class TestRule:
    def test_admits_nobody_without_a_rule(self):
        ruling = ask(compiled())
        assert ruling.outcome is Outcome.NOT_ELIGIBLE
        assert ruling.max_duration_seconds == 0

    def test_grants_at_once_where_the_chain_is_empty(self):
        ruling = ask(compiled(rule()))
        assert (ruling.outcome, ruling.rule, ruling.chain) == (Outcome.AUTO, "open-door", ())

    def test_asks_people_where_there_is_a_chain(self):
        ruling = ask(compiled(rule(approvals=LEADS)))
        assert ruling.outcome is Outcome.NEEDS_APPROVAL
        assert [step.any_of for step in ruling.chain] == [("group:payments-leads",)]

    def test_stores_what_it_was_asked_and_by_what(self):
        bundle = compiled(rule())
        ruling = ask(bundle)
        assert ruling.bundle_digest == bundle.digest
        assert ruling.facts_digest == Facts.from_json(ruling.facts).digest == facts().digest
        assert ruling.ruled_at == "2026-01-05T12:00:00.000000Z"

    def test_says_of_every_clause_how_it_went(self):
        when = (
            "[{expr: ticket.severity == 1, message: 'Yours is SEV${ticket.severity}.'},"
            " {expr: ticket.is_open, message: Open it.}]"
        )
        ruling = ask(compiled(rule(when=when)))
        assert [(c.part, c.passed, c.message) for c in ruling.trace[1:]] == [
            ("when[0]", False, "Yours is SEV2."),
            ("when[1]", True, ""),
        ]
        assert ruling.missing == ("Yours is SEV2.",)

    def test_spells_an_unstated_severity_as_a_question(self):
        when = "[{expr: ticket.severity == 1, message: 'Yours is SEV${ticket.severity}.'}]"
        assert ask(compiled(rule(when=when)), ticket__severity=99).missing == ("Yours is SEV?.",)

    def test_quotes_hostile_text_only_so_far(self):
        when = "[{expr: 'false', message: '${ticket.status}'}]"
        ruling = ask(compiled(rule(when=when)), ticket__status="${user.id}" * 9000)
        assert len(ruling.missing[0]) == 200
        assert ruling.missing[0].startswith("${user.id}")


class TestTheFirstEligibleRule:
    def test_makes_the_offer_and_the_others_are_alternatives(self):
        ruling = ask(
            compiled(
                rule(id="not-yours", who="'false'"),
                rule(id="first", max_duration="30m"),
                rule(id="second", max_duration="2h", approvals=LEADS),
                rule(id="elsewhere", match="{role.slug: other}"),
            )
        )
        assert (ruling.rule, ruling.max_duration_seconds) == ("first", 1800)
        assert [(a.rule, a.max_duration_seconds) for a in ruling.alternatives] == [
            ("second", 7200)
        ]  # fmt: skip

    def test_goes_by_the_order_of_the_files(self):
        files = {"b.yaml": policy(rule(id="bb")), "a.yaml": policy(rule(id="aa"))}
        assert ask(compile_bundle(files)).rule == "aa"


class TestGuardrails:
    GUARDRAILS = (
        "[{id: freeze, match: {role.target: orders-db}, deny_when: request.change_freeze, "
        "message: Frozen.}, {id: night, deny_when: request.hour < 6, message: Night.}, "
        "{id: elsewhere, match: {role.target: other}, deny_when: 'true', message: x}]"
    )

    def test_override_every_rule_and_every_hit_is_reported(self):
        bundle = compiled(rule(more=BREAK_GLASS), guardrails=self.GUARDRAILS)
        ruling = ask(bundle, request__change_freeze=True, request__hour=3)
        assert ruling.outcome is Outcome.DENIED
        assert ruling.guardrails == ("freeze", "night")
        assert ruling.missing == ("Frozen.", "Night.")
        assert (ruling.rule, ruling.chain, ruling.max_duration_seconds) == (None, (), 0)

    def test_stop_a_break_glass_too(self):
        bundle = compiled(rule(more=BREAK_GLASS), guardrails=self.GUARDRAILS)
        assert ask(bundle).break_glass.allowed
        assert not ask(bundle, request__change_freeze=True).break_glass.allowed

    def test_let_pass_what_they_do_not_refuse(self):
        ruling = ask(compiled(rule(), guardrails=self.GUARDRAILS))
        assert (ruling.outcome, ruling.guardrails) == (Outcome.AUTO, ())
        assert [clause.rule for clause in ruling.trace[:2]] == ["freeze", "night"]

    def test_deny_where_the_fact_is_unknown(self):
        unknown = Facts.from_json(
            {**facts().as_json(), "request": {"duration": 1800}}
        )  # fmt: skip
        bundle = compiled(rule(), guardrails=self.GUARDRAILS)
        ruling = engine.rule(bundle=bundle, facts=unknown, now=NOW)
        assert ruling.guardrails == ("freeze", "night")


MISSING = 'role.tags.tier == "gold"'
"""Fails to evaluate for a role without that tag."""


class TestAnError:
    BROKEN = {
        "who": rule(id="broken", who=f"'{MISSING}'"),
        "its negation": rule(id="broken", who=f"'!({MISSING})'"),
        "when": rule(id="broken", when=f"[{{expr: '{MISSING}', message: x}}]"),
        "message": rule(id="broken", when="[{expr: 'true', message: '${role.tags.tier}'}]"),
        "when of those it is not for": rule(
            id="broken", who="'false'", when=f"[{{expr: '{MISSING}', message: x}}]"
        ),
        "duration": rule(id="broken", max_duration="'duration(role.tags.tier)'"),
        "negative duration": rule(id="broken", max_duration="duration('1h') - duration('2h')"),
        "branch": rule(
            id="broken", approvals=f"[{{if: '{MISSING}', chain: []}}, {{if: true, chain: []}}]"
        ),
        "branch after the one that applies": rule(
            id="broken",
            approvals=f"[{{if: ticket.is_open, chain: []}}, {{if: '{MISSING}', chain: []}}, "
            "{if: true, chain: []}]",
        ),
        "review": rule(id="broken", more=f"      review_after: '{MISSING}'"),
        "break-glass": rule(
            id="broken", more=BREAK_GLASS.replace('"payments-sre" in user.groups', MISSING)
        ),
    }  # fmt: skip

    @pytest.mark.parametrize("where", BROKEN)
    @pytest.mark.parametrize("first", [True, False])
    def test_anywhere_refuses_though_another_rule_admits(self, where, first):
        rules = [self.BROKEN[where], rule(id="good", more=BREAK_GLASS)]
        bundle = compiled(*(rules if first else reversed(rules)))
        ruling = ask(bundle)
        assert ruling.outcome is Outcome.ERROR
        assert (ruling.rule, ruling.chain, ruling.max_duration_seconds) == (None, (), 0)
        assert not ruling.break_glass.allowed
        assert ruling.errors[0].startswith("broken.")
        assert "gold" not in "".join(ruling.missing)
        assert ask(bundle, role__tags={"tier": "1h"}).outcome is not Outcome.ERROR or (
            where == "negative duration"
        )

    @pytest.mark.parametrize("deny_when", [MISSING, f"!({MISSING})"])
    def test_in_a_guardrail_refuses(self, deny_when):
        guardrails = f"[{{id: g, deny_when: '{deny_when}', message: x}}]"
        ruling = ask(compiled(rule(), guardrails=guardrails))
        assert (ruling.outcome, ruling.guardrails) == (Outcome.ERROR, ())
        assert ruling.trace[0].passed is None

    def test_outweighs_a_guardrail_that_refuses(self):
        guardrails = "[{id: g, deny_when: 'true', message: x}]"
        ruling = ask(compiled(self.BROKEN["who"], guardrails=guardrails))
        assert ruling.outcome is Outcome.ERROR
        assert ruling.guardrails == ("g",)

    def test_of_facts_that_cannot_be_bound_refuses(self):
        values = {**facts().values, "ticket.severity": "2", "request.at": "no time"}
        with pytest.raises(ValueError, match="no time"):
            Facts(values).native()
        assert engine.decide(
            policy=compiled(rule()).enforced, facts=Facts(values)
        ).outcome is Outcome.ERROR  # fmt: skip


def anything(kind):
    """Return values of a kind, odd ones too."""
    text = st.text(max_size=8) | st.sampled_from(["", "\0", "\ud800", "prod", "rita", "${x}"])
    return {
        Kind.STRING: text,
        Kind.INT: st.integers(-(2**63), 2**63 - 1),
        Kind.BOOL: st.booleans(),
        Kind.DURATION: st.integers(0, 10**8),
        Kind.TIMESTAMP: st.just("2026-01-05T12:00:00.000000Z"),
        Kind.STRINGS: st.lists(text, max_size=3),
        Kind.TAGS: st.dictionaries(text, text, max_size=3),
    }[kind]


ANY_FACTS = st.fixed_dictionaries({n: anything(a.kind) for n, a in ATTRIBUTES.items()}).map(Facts)
GOOD = rule(id="good", match="{}", more=BREAK_GLASS)


class TestNoFacts:
    """Whatever the facts are, an error is no yes."""

    @settings(max_examples=100)
    @given(ANY_FACTS, st.sampled_from(sorted(TestAnError.BROKEN)))
    def test_turn_an_error_into_a_yes(self, known, where):
        broken = TestAnError.BROKEN[where].replace("{role.slug: orders-db-reader}", "{}")
        ruling = engine.rule(bundle=compiled(broken, GOOD), facts=known, now=NOW)
        if ruling.errors:
            assert ruling.outcome is Outcome.ERROR
        if ruling.outcome is Outcome.ERROR:
            assert ruling.errors
            assert ruling.rule is None
            assert not ruling.break_glass.allowed
        if "tier" not in known["role.tags"] and "negative" not in where:
            assert ruling.outcome is Outcome.ERROR or not known["ticket.known"] or min(
                known["role.max_duration"], known["ticket.window"]
            ) < engine.SHORTEST  # fmt: skip

    @settings(max_examples=100)
    @given(ANY_FACTS)
    def test_lift_the_longest_of_rule_role_and_ticket(self, known):
        ruling = engine.rule(bundle=compiled(GOOD), facts=known, now=NOW)
        longest = min(3600, known["role.max_duration"], known["ticket.window"])
        assert ruling.max_duration_seconds <= longest
        assert ruling.break_glass.max_duration_seconds <= min(900, longest)
        if ruling.outcome.admits:
            assert known["ticket.known"]
            assert ruling.max_duration_seconds == longest >= engine.SHORTEST

    @settings(max_examples=60)
    @given(ANY_FACTS)
    def test_get_past_a_guardrail(self, known):
        guardrails = "[{id: g, deny_when: request.change_freeze, message: x}]"
        bundle = compiled(GOOD, guardrails=guardrails)
        ruling = engine.rule(bundle=bundle, facts=known, now=NOW)
        if known["request.change_freeze"]:
            assert not ruling.outcome.admits
            assert not ruling.break_glass.allowed


class TestTheLongestDuration:
    @pytest.mark.parametrize(
        ("changes", "seconds"),
        [
            ({}, 3600),
            ({"role__max_duration": "20m"}, 1200),
            ({"ticket__window": "5m"}, 300),
            ({"role__max_duration": "20m", "ticket__window": "25m"}, 1200),
        ],
    )
    def test_is_the_least_of_rule_role_and_window(self, changes, seconds):
        assert ask(compiled(rule()), **changes).max_duration_seconds == seconds

    def test_of_nothing_is_no_offer(self):
        ruling = ask(compiled(rule()), ticket__window=3)
        assert ruling.outcome is Outcome.NOT_ELIGIBLE
        assert ruling.missing == ("No time is left in which this may be granted.",)

    def test_is_not_cut_to_what_is_asked(self):
        assert ask(compiled(rule()), request__duration="1m").max_duration_seconds == 3600


class TestObligations:
    @pytest.mark.parametrize(
        ("risk", "strength", "closed"),
        [
            ("low", "slack", "warn"),
            ("medium", "slack", "warn"),
            ("high", "web_phishing_resistant", "revoke"),
            ("critical", "web_phishing_resistant", "revoke"),
        ],
    )
    def test_are_stricter_for_a_dangerous_role(self, risk, strength, closed):
        owed = ask(compiled(rule()), role__risk=risk).obligations
        assert (owed.approval_strength, owed.on_ticket_closed) == (strength, closed)

    def test_are_those_of_the_rule(self):
        more = """      approval_strength: notify
      mfa: {max_age: 15m, phishing_resistant: true}
      record: required
      on_ticket_closed: ignore
      review_after: ticket.severity == 1
      same_person_may_repeat: true"""
        bundle = compiled(rule(more=more))
        owed = ask(bundle, role__risk="critical").obligations
        assert (owed.approval_strength, owed.record, owed.on_ticket_closed) == (
            "notify", "required", "ignore"
        )  # fmt: skip
        assert (owed.mfa_max_age_seconds, owed.mfa_phishing_resistant) == (900, True)
        assert owed.same_person_may_repeat
        assert not owed.review_after
        assert ask(bundle, ticket__severity=1).obligations.review_after


class TestApprovals:
    def test_are_those_of_the_first_branch_that_applies(self):
        approvals = (
            "[{if: 'ticket.severity == 1 && request.duration <= duration(\"30m\")', chain: []},"
            ' {if: ticket.severity == 1, chain: [{any_of: ["group:a"]}]},'
            ' {if: true, chain: [{any_of: ["group:a"]}, {any_of: [role-owner], quorum: 2,'
            " lapse_after: 10m, escalate_to: [manager], escalate_after: 5m}]}]"
        )
        bundle = compiled(rule(approvals=approvals))
        assert ask(bundle, ticket__severity=1).outcome is Outcome.AUTO
        assert len(ask(bundle, ticket__severity=1, request__duration="31m").chain) == 1
        last = ask(bundle).chain[1]
        assert (last.quorum, last.lapse_after_seconds) == (2, 600)
        assert (last.escalate_to, last.escalate_after_seconds) == (("manager",), 300)


class TestATicketSystemThatDoesNotAnswer:
    WHEN = "[{expr: ticket.is_open, message: Open.}, {expr: request.hour > 8, message: Later.}]"
    EXTRA = """      on_ticket_unreachable: extra_step
      extra_step: {any_of: ["group:sre-managers"]}"""
    SILENT = {
        "ticket__known": False, "ticket__is_open": False, "ticket__severity": 99,
        "ticket__assignee": "",
    }  # fmt: skip

    def test_refuses_by_default_and_says_why(self):
        ruling = ask(compiled(rule()), **self.SILENT)
        assert ruling.outcome is Outcome.NOT_ELIGIBLE
        assert "does not answer, so OPS-1 can't be checked" in ruling.missing[0]

    def test_costs_an_extra_step_where_the_rule_says_so(self):
        bundle = compiled(rule(when=self.WHEN, more=self.EXTRA))
        ruling = ask(bundle, **self.SILENT)
        assert ruling.outcome is Outcome.NEEDS_APPROVAL
        assert [step.any_of for step in ruling.chain] == [("group:sre-managers",)]
        assert [clause.passed for clause in ruling.trace] == [True, None, None, True]
        assert ask(bundle).outcome is Outcome.AUTO

    def test_still_asks_what_does_not_read_the_ticket(self):
        bundle = compiled(rule(when=self.WHEN, more=self.EXTRA))
        ruling = ask(bundle, **self.SILENT, request__hour=3)
        assert ruling.outcome is Outcome.NOT_ELIGIBLE
        assert "Later." in ruling.missing

    def test_does_not_stand_in_for_who(self):
        bundle = compiled(rule(who="ticket.assignee == user.id", more=self.EXTRA))
        assert not ask(bundle, **self.SILENT).outcome.admits

    def test_is_not_the_same_as_no_ticket(self):
        bundle = compiled(rule(when=self.WHEN, more=self.EXTRA))
        ruling = ask(bundle, **self.SILENT, ticket__key="")
        assert ruling.outcome is Outcome.NOT_ELIGIBLE
        assert "Name the ticket" in ruling.missing[0]


class TestBreakGlass:
    def test_is_allowed_where_the_rules_conditions_are_not_met(self):
        when = "[{expr: ticket.severity == 1, message: No.}]"
        bundle = compiled(rule(when=when, approvals=LEADS, more=BREAK_GLASS))
        ruling = ask(bundle, ticket__known=False, ticket__key="", request__break_glass=True)
        glass = ruling.break_glass
        assert ruling.outcome is Outcome.NOT_ELIGIBLE
        assert glass.allowed
        assert (glass.max_duration_seconds, glass.review_due_seconds) == (900, 86400)
        assert glass.reviewers == ("group:sre-managers",)
        assert [step.any_of for step in glass.chain] == [("group:payments-leads",)]
        assert glass.obligations.review_after
        assert glass.obligations.mfa_max_age_seconds == 900

    def test_is_not_for_those_whom_the_rule_is_not_for(self):
        bundle = compiled(rule(who='user.id == "ada"', more=BREAK_GLASS))
        assert not ask(bundle).break_glass.allowed

    def test_says_why_not(self):
        glass = ask(compiled(rule(more=BREAK_GLASS)), user__groups=[]).break_glass
        assert (glass.allowed, glass.message) == (False, "Break-glass is for payments-sre.")

    def test_is_not_allowed_by_a_rule_that_says_nothing(self):
        assert not ask(compiled(rule())).break_glass.allowed

    def test_is_never_longer_than_the_role(self):
        bundle = compiled(rule(more=BREAK_GLASS))
        assert ask(bundle, role__max_duration="1m").break_glass.max_duration_seconds == 60


class TestShadows:
    def files(self, **parts):
        return compile_bundle(
            {
                "enforced.yaml": policy(rule(id="enforced")),
                "a-shadow.yaml": policy(rule(id="shadowed", **parts), mode="shadow"),
            }
        )

    def test_do_not_decide_but_are_reported(self):
        ruling = ask(self.files(approvals=LEADS))
        assert (ruling.outcome, ruling.rule) == (Outcome.AUTO, "enforced")
        assert ruling.shadow is not None
        assert (ruling.shadow.outcome, ruling.shadow.rule) == (Outcome.NEEDS_APPROVAL, "shadowed")
        assert set(ruling.shadow.differs_in) == {"outcome", "rule", "chain"}

    def test_are_silent_where_nothing_differs(self):
        assert ask(self.files(who="'false'")).shadow is None

    def test_that_fail_are_reported_and_refuse_nobody(self):
        ruling = ask(self.files(who=f"'{MISSING}'"))
        assert ruling.outcome is Outcome.AUTO
        assert ruling.shadow is not None
        assert ruling.shadow.outcome is Outcome.ERROR
