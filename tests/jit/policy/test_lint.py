from __future__ import annotations

from pathlib import Path

import pytest

from jit.policy import lint
from tests.jit.policy.support import policy, rule

POLICIES = Path(__file__).parents[3] / "policies"
TESTS = (
    "{{defaults: {{user: {{id: rita, groups: [payments-sre]}}, role: {{slug: orders-db-reader, "
    "max_duration: 2h}}, ticket: {{key: OPS-1, known: true}}, "
    "request: {{duration: 30m, change_freeze: false}}}}, cases: [{}]}}"
)
ADMITTED = "{name: in, expect: {outcome: auto}}"
NEEDS = "{name: in, expect: {outcome: needs_approval}}"
PEOPLE = {"group:payments-leads": 2, "group:nobody-left": 0, "user:ada": 1, "user:bo": 1}
DIRECTORY = lint.Directory(
    people=lambda expression: PEOPLE.get(expression, None if ":" not in expression else 0),
    groups=frozenset({"payments-sre", "payments-leads", "nobody-left"}),
)


def check(*rules, cases=ADMITTED, directory=None, **parts):
    text = policy(*rules, tests=TESTS.format(cases), **parts)
    return lint.check({"house.yaml": text}, directory)


def said(report, severity="error"):
    return [p.message for p in report.problems if p.severity == severity]


def chain(*steps):
    return f"[{{if: true, chain: [{', '.join(steps)}]}}]"


class TestCheck:
    def test_has_nothing_to_say_of_a_good_policy(self):
        assert check(rule()).problems == ()

    def test_reports_what_does_not_compile(self):
        report = check(rule(who="usr.id"))
        assert report.bundle is None
        assert report.errors

    def test_reports_a_test_that_fails_with_its_line(self):
        report = check(rule(who="'false'"))
        found = [p for p in report.errors if p.where == "test 'in'"]
        assert found
        assert found[0].line > 1

    def test_demands_a_test_that_each_rule_admits(self):
        report = check(rule(id="tested"), rule(id="untested", match="{role.slug: other}"))
        assert [p.where for p in report.errors] == ["rule untested"]
        assert "no test is admitted by it" in said(report)[0]

    def test_demands_a_test_that_each_guardrail_refuses(self):
        guardrails = "[{id: freeze, deny_when: request.change_freeze, message: x}]"
        assert "no test is refused by it" in said(check(rule(), guardrails=guardrails))[0]
        refused = (
            "{name: no, given: {request.change_freeze: true}, expect: {outcome: denied}}"
        )  # fmt: skip
        assert not check(rule(), guardrails=guardrails, cases=f"{ADMITTED}, {refused}").errors

    def test_warns_of_a_clause_that_fails_in_no_test(self):
        report = check(rule(who='user.id == "rita"'))
        assert said(report, "warning") == ["who fails in no test"]
        assert not report.errors

    def test_warns_of_a_policy_without_rules(self):
        assert said(lint.check({"a.yaml": policy()}), "warning")

    def test_passes_the_shipped_policies_without_a_word(self):
        files = {path.name: path.read_text() for path in POLICIES.glob("*.yaml")}
        report = lint.check(files)
        assert report.problems == ()
        assert all(result.passed for result in report.results)


class TestAnUnreachableRule:
    def test_is_one_that_an_earlier_rule_covers(self):
        later = rule(id="later", when="[{expr: ticket.is_open, message: x}]")
        assert "unreachable: open-door admits" in " ".join(said(check(rule(), later)))

    def test_is_also_found_when_the_earlier_matches_more(self):
        earlier = rule(id="earlier", match="{role.slug: [orders-db-reader, b]}")
        assert "unreachable: earlier" in " ".join(said(check(earlier, rule())))

    @pytest.mark.parametrize(
        "earlier",
        [
            {"match": "{role.slug: other}"},
            {"match": "{role.slug: orders-db-reader, role.env: prod}"},
            {"who": 'user.id == "ada"'},
            {"when": "[{expr: ticket.is_open, message: x}]"},
        ],
    )
    def test_is_none_where_the_earlier_asks_for_something_else(self, earlier):
        report = check(rule(id="earlier", **earlier), rule(id="later"))
        assert "unreachable" not in " ".join(said(report))

    def test_is_none_where_only_the_later_survives_a_silent_ticket_system(self):
        later = rule(id="later", more="      on_ticket_unreachable: extra_step")
        assert "unreachable" not in " ".join(said(check(rule(), later)))

    def test_is_a_branch_after_one_that_always_applies(self):
        approvals = (
            "[{if: true, chain: []}, {if: ticket.is_open, chain: []}, {if: true, chain: []}]"
        )
        assert "branches after it are unreachable" in said(check(rule(approvals=approvals)))[0]

    def test_is_only_a_warning_where_a_shadow_covers_an_enforced_one(self):
        files = {
            "b.yaml": policy(rule(id="enforced"), tests=TESTS.format(ADMITTED)),
            "a.yaml": policy(rule(id="shadow"), tests=TESTS.format(ADMITTED), mode="shadow"),
        }
        assert not any("unreachable" in message for message in said(lint.check(files)))


class TestAChainThatNobodyCanSatisfy:
    def nobody(self, *steps, more=""):
        given = rule(approvals=chain(*steps), more=more)
        report = check(given, cases=NEEDS, directory=DIRECTORY)
        return [message for message in said(report) if "nobody can satisfy" in message]

    def test_names_an_empty_group(self):
        assert "step 1: group:nobody-left is 0 people" in self.nobody(
            '{any_of: ["group:nobody-left"]}'
        )[0]  # fmt: skip

    def test_names_a_group_that_does_not_exist(self):
        assert self.nobody('{any_of: ["group:typo"]}')

    def test_needs_as_many_people_as_the_quorum(self):
        assert self.nobody('{any_of: ["group:payments-leads"], quorum: 3}')
        assert not self.nobody('{any_of: ["group:payments-leads"], quorum: 2}')

    def test_counts_one_person_once_in_a_chain(self):
        step = '{any_of: ["user:ada"]}'
        assert "step 2" in self.nobody(step, step)[0]
        assert not self.nobody(step, step, more="      same_person_may_repeat: true")

    def test_leaves_alone_what_depends_on_the_request(self):
        assert not self.nobody("{any_of: [manager]}", "{any_of: [role-owner]}")

    def test_looks_at_the_reviewers_of_a_break_glass(self):
        more = (
            "    break_glass: {allowed: 'true', max_duration: 15m, review_within: 24h, "
            'reviewers: ["group:nobody-left"]}'
        )
        assert self.nobody('{any_of: ["user:ada"]}', more=more)

    def test_is_not_counted_without_a_directory(self):
        given = rule(approvals=chain('{any_of: ["group:typo"]}'))
        assert not check(given, cases=NEEDS).errors


class TestAnUnknownGroup:
    def test_is_warned_of_wherever_it_is_named(self):
        guardrails = "[{id: g, deny_when: '\"ghosts\" in user.groups', message: x}]"
        given = rule(
            who="'\"payment-sre\" in user.groups || true'",
            approvals=chain('{any_of: ["user:ada"], escalate_to: ["group:managers"]}'),
        )
        report = check(given, cases=NEEDS, directory=DIRECTORY, guardrails=guardrails)
        warned = said(report, "warning")
        for group in ("ghosts", "payment-sre", "managers"):
            assert f"there is no group {group}" in warned


class TestATicketOfOnesOwn:
    """Whoever may open a ticket may let themselves in by it, if it is all that is asked for."""

    OWN = "ticket.severity <= 2 && ticket.assignee == user.id"
    OTHERS = "ticket.opened_by != user.id && !(user.id in ticket.changed_by)"
    KNOWN = TESTS.replace("known: true", "known: true, opened_by: bo, changed_by: [], age: 1h, "
                          "severity: 1, assignee: rita")  # fmt: skip

    def check(self, condition, **parts):
        approvals = (
            f"[{{if: {condition!r}, chain: []}}, {{if: true, chain: [{{any_of: [role-owner]}}]}}]"
        )
        text = policy(rule(approvals=approvals, **parts), tests=self.KNOWN.format(ADMITTED))
        return said(lint.check({"house.yaml": text}), "warning")

    def test_warns_of_an_empty_chain_that_the_requester_can_write(self):
        (warned,) = self.check(self.OWN)
        assert "rests on ticket.assignee, ticket.severity" in warned
        (warned,) = self.check(f"{self.OWN} && ticket.opened_by != user.id")
        assert "nothing asks ticket.changed_by" in warned

    def test_is_silent_where_somebody_else_must_have_written_it(self):
        assert self.check(f"{self.OWN} && {self.OTHERS}") == []
        assert self.check("true") == []
        when = f"[{{expr: {self.OTHERS!r}, message: no}}]"
        assert [w for w in self.check(self.OWN, when=when) if "rests on" in w] == []
