from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from jit.policy import engine
from jit.policy.eligibility import eligible, index_roles, role_facts
from tests.jit.policy.support import compiled, facts, rule

TEAMS = ("payments", "search")


def ask(bundle, *roles, **person):
    values = [role_facts(facts(role__slug=slug, **more)) for slug, more in roles]
    index = index_roles(policy=bundle.enforced, roles=values)
    return eligible(index=index, facts=facts(**person))


def for_team(team, who="'true'", **parts):
    return rule(id=f"for-{team}", match=f"{{role.team: {team}}}", who=who, **parts)


class TestEligible:
    def test_is_the_first_rule_that_is_for_them(self):
        bundle = compiled(
            for_team("payments", "'\"nobody\" in user.groups'"),
            rule(id="second", match="{}"),
        )
        answer = ask(bundle, ("a", {"role__team": "payments"}))["a"]
        assert (answer.eligible, answer.rule) == (True, "second")

    def test_says_why_not_role_by_role(self):
        who = "{expr: 'role.team in user.on_call_for', message: 'Go on call for ${role.slug}.'}"
        answers = ask(compiled(rule(match="{}", who=who)), ("a", {}), ("b", {}))
        assert answers["a"].message == "Go on call for a."
        assert answers["b"].message == "Go on call for b."

    def test_covers_nothing_without_a_rule(self):
        answer = ask(compiled(for_team("search")), ("a", {"role__team": "payments"}))["a"]
        assert not answer.eligible
        assert "No rule" in answer.message

    def test_refuses_where_any_clause_has_no_answer(self):
        bundle = compiled(
            rule(id="good", match="{}"),
            rule(id="bad", match="{}", who="'user.attributes.x == \"y\"'"),
            rule(id="worse", match="{role.team: search}", who="'role.tags.x == \"y\"'"),
        )
        assert not ask(bundle, ("a", {}))["a"].eligible
        fine = {"user__attributes": {"x": "n"}}
        answers = ask(bundle, ("a", {}), ("b", {"role__team": "search"}), **fine)
        assert answers["a"].eligible
        assert not answers["b"].eligible

    def test_leaves_the_ticket_to_the_ruling(self):
        bundle = compiled(rule(match="{}", who="'ticket.severity == 1'"))
        assert ask(bundle, ("a", {}), ticket__severity=3)["a"].eligible

    def test_hears_a_guardrail_that_needs_no_ticket(self):
        guardrails = (
            "[{id: no-bo, match: {role.team: payments}, deny_when: 'user.id == \"bo\"', "
            "message: 'Not bo.'}, {id: later, deny_when: 'ticket.severity > 0', message: x}]"
        )
        bundle = compiled(rule(match="{}"), guardrails=guardrails)
        roles = (("a", {"role__team": "payments"}), ("b", {"role__team": "search"}))
        assert ask(bundle, *roles)["a"].eligible
        answers = ask(bundle, *roles, user__id="bo")
        assert (answers["a"].eligible, answers["a"].message) == (False, "Not bo.")
        assert answers["b"].eligible

    def test_refuses_where_a_guardrail_has_no_answer(self):
        guardrails = "[{id: g, deny_when: 'user.attributes.x == \"y\"', message: x}]"
        assert not ask(compiled(rule(match="{}"), guardrails=guardrails), ("a", {}))["a"].eligible

    @settings(max_examples=60)
    @given(
        st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
        st.lists(
            st.tuples(
                st.sampled_from(["{}", "{role.team: payments}", "{role.team: search}"]),
                st.sampled_from(
                    ["\"'a' in user.groups\"", '"role.tags.t in user.groups"',
                     "\"role.team == 'search'\"", "\"user.id == 'rita' && role.risk == 'low'\""]
                ),
            ),
            max_size=5,
        ),
        st.lists(st.tuples(st.sampled_from(TEAMS), st.sampled_from([{}, {"t": "a"}])), max_size=5),
    )  # fmt: skip
    def test_agrees_with_the_engine_on_every_role(self, groups, clauses, roles):
        bundle = compiled(
            *(rule(id=f"r{n}", match=match, who=who) for n, (match, who) in enumerate(clauses))
        )
        made = [(f"role-{n}", {"role__team": team, "role__tags": tags})
                for n, (team, tags) in enumerate(roles)]  # fmt: skip
        answers = ask(bundle, *made, user__groups=groups)
        for slug, more in made:
            asked = facts(role__slug=slug, user__groups=groups, **more)
            ruling = engine.decide(policy=bundle.enforced, facts=asked)
            assert answers[slug].eligible == ruling.outcome.admits
            assert answers[slug].rule == ruling.rule
