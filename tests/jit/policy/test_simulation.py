from __future__ import annotations

from jit.policy.simulation import Effect, report, simulate
from tests.jit.policy.support import compiled, facts, rule

LEADS = '[{if: true, chain: [{any_of: ["group:payments-leads"]}]}]'


def replay(before, after, *asked):
    rulings = [(f"r{n}", {"facts": each.as_json()}) for n, each in enumerate(asked or [facts()])]
    return simulate(rulings=rulings, current=before, candidate=after)


class TestSimulate:
    def test_finds_nothing_between_a_policy_and_itself(self):
        found = replay(compiled(rule()), compiled(rule()))
        assert found.differing == ()
        assert found.moves == {("auto", "auto"): 1}
        assert "nobody gains" in "\n".join(report(found))

    def test_says_who_gains_and_who_loses(self):
        strict = compiled(rule(who='user.id == "rita"', approvals=LEADS))
        loose = compiled(rule(who='user.id != "bo"'))
        asked = [facts(), facts(user__id="ada"), facts(user__id="bo")]
        found = replay(strict, loose, *asked)
        assert [(r.request_id, r.effect) for r in found.differing] == [
            ("r0", Effect.GAINS), ("r1", Effect.GAINS)
        ]  # fmt: skip
        lost = replay(loose, strict, *asked)
        assert {r.effect for r in lost.differing} == {Effect.LOSES}
        text = "\n".join(report(lost))
        assert "loses (2):" in text
        assert "r1  ada for orders-db-reader: auto (3600 s, 0 steps) -> not_eligible" in text

    def test_sees_a_change_that_leaves_the_outcome(self):
        found = replay(compiled(rule()), compiled(rule(max_duration="2h")))
        assert [r.effect for r in found.differing] == [Effect.CHANGES]

    def test_counts_a_new_error_as_a_loss(self):
        found = replay(compiled(rule()), compiled(rule(who="role.tags.x == 'y'")))
        assert [r.effect for r in found.differing] == [Effect.LOSES]

    def test_leaves_out_what_has_no_facts(self):
        found = simulate(
            rulings=[("old", {})], current=compiled(rule()), candidate=compiled(rule())
        )
        assert (found.asked, found.skipped) == (0, 1)
        assert "1 without stored facts" in "\n".join(report(found))
