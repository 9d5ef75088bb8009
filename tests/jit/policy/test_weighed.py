"""A stored ruling's clauses with the values they were asked about."""

from __future__ import annotations

from jit.policy.weighed import weighed


def clause(text: str, *, passed: bool | None, part: str = "deny_when") -> dict[str, object]:
    message = "A change freeze is on."
    return {"rule": "freeze", "part": part, "text": text, "passed": passed, "message": message}


FACTS = {
    "request": {"change_freeze": False, "duration": 900},
    "ticket": {"severity": 2},
    "user": {"attributes": {"site": "berlin", "salary": "secret"}},
}


class TestWeighed:
    def test_a_guardrail_that_did_not_refuse_says_no_sentence_of_refusal(self) -> None:
        """Rulings of an older version were stored with it."""
        asked = clause("request.change_freeze && ticket.severity > 1", passed=True)
        (one,) = weighed({"trace": [asked], "facts": FACTS})
        assert one["message"] == ""
        assert one["values"] == {"request.change_freeze": False, "ticket.severity": 2}

    def test_what_refused_keeps_its_sentence(self) -> None:
        (one,) = weighed({"trace": [clause("request.change_freeze", passed=False)], "facts": FACTS})
        assert one["message"] == "A change freeze is on."

    def test_of_a_map_it_shows_the_keys_that_are_named_and_no_others(self) -> None:
        asked = clause('user.attributes["site"] == "berlin"', passed=True, part="when[0]")
        (one,) = weighed({"trace": [asked], "facts": FACTS})
        assert one["values"] == {"user.attributes": {"site": "berlin"}}

    def test_a_ruling_that_kept_no_facts_has_no_values(self) -> None:
        (one,) = weighed({"trace": [clause("request.change_freeze", passed=None)]})
        assert one["values"] == {}
