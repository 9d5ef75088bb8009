from __future__ import annotations

from jit.policy import engine
from jit.policy.explain import explain
from tests.jit.policy.support import NOW, compiled, facts, rule


class TestExplain:
    def test_shows_each_clause_with_its_sentence(self):
        when = (
            "[{expr: ticket.severity == 1, message: 'Yours is SEV${ticket.severity}.'},"
            " {expr: ticket.is_open, message: Open it.}]"
        )
        text = explain(engine.rule(bundle=compiled(rule(when=when)), facts=facts(), now=NOW))
        lines = text.splitlines()
        assert lines[0] == "not_eligible"
        assert "open-door NO" in lines
        assert any(
            line.startswith("   FAIL ticket.severity == 1") and line.endswith("Yours is SEV2.")
            for line in lines
        )
        assert any(line.startswith("   ok   ticket.is_open") for line in lines)

    def test_shows_the_offer_and_its_alternatives(self):
        approvals = '[{if: true, chain: [{any_of: ["user:ada"], quorum: 1}, {any_of: [manager]}]}]'
        bundle = compiled(rule(approvals=approvals), rule(id="other", max_duration="2h"))
        text = explain(engine.rule(bundle=bundle, facts=facts(), now=NOW))
        assert "needs_approval by rule open-door" in text
        assert "1 of user:ada, then 1 of manager" in text
        assert "alternative other: up to 2h, nobody need agree" in text

    def test_shows_what_failed_to_evaluate(self):
        bundle = compiled(rule(who="role.tags.x == 'y'"))
        text = explain(engine.rule(bundle=bundle, facts=facts(), now=NOW))
        assert "error: open-door.who:" in text
