from __future__ import annotations

import pytest

from jit.policy.compiler import PolicyNotCompiled, compile_bundle
from tests.jit.policy.support import policy, rule


def problems(*rules, **parts):
    with pytest.raises(PolicyNotCompiled) as raised:
        compile_bundle({"house.yaml": policy(*rules, **parts)})
    return raised.value.problems


class TestCompileBundle:
    def test_points_at_the_mistake_in_the_file(self):
        text = policy(rule(who="ticket.severty <= 2"))
        (problem,) = problems(rule(who="ticket.severty <= 2"))
        assert problem.where == "rule open-door: who.expr"
        assert "did you mean ticket.severity?" in problem.message
        line = text.splitlines()[problem.line - 1]
        assert line[problem.column - 1 :].startswith(".severty")
        assert str(problem).startswith(f"house.yaml:{problem.line}:{problem.column}: error: rule")

    def test_points_into_quoted_texts(self):
        when = "[{expr: 'ticket.is_open && ticket.opn', message: x}]"
        (problem,) = problems(rule(when=when))
        line = policy(rule(when=when)).splitlines()[problem.line - 1]
        assert line[problem.column - 1 :].startswith(".opn")
        assert problem.where == "rule open-door: when[0].expr"

    def test_points_into_blocks(self):
        who = "|\n      ticket.is_open &&\n      ticket.opn"
        (problem,) = problems(rule(who=who))
        line = policy(rule(who=who)).splitlines()[problem.line - 1]
        assert line[problem.column - 1 :] == ".opn"

    def test_points_into_the_gaps_of_messages(self):
        when = "[{expr: 'true', message: 'It is ${ticket.stats}, not open.'}]"
        (problem,) = problems(rule(when=when))
        line = policy(rule(when=when)).splitlines()[problem.line - 1]
        assert line[problem.column - 1 :].startswith(".stats")

    def test_reports_everything_at_once(self):
        found = problems(
            rule(id="one", who="usr.id == ''"),
            rule(id="two", max_duration="ticket.severity", approvals="[{if: nobody, chain: []}]"),
            guardrails="[{id: g, match: {}, deny_when: has(ticket.severity), message: x}]",
        )
        assert {problem.where.split(":")[0] for problem in found} == {
            "rule one", "rule two", "guardrail g"
        }  # fmt: skip
        assert len(found) >= 4

    @pytest.mark.parametrize(
        ("parts", "where", "said"),
        [
            ({"match": "{role.knd: x}"}, "match", "match can't read role.knd"),
            ({"match": "{ticket.key: x}"}, "match", "match can't read ticket.key"),
            ({"match": "{role.env: [prod, 1]}"}, "match", "text or a list of texts"),
            ({"match": "{role.env: []}"}, "match", "text or a list of texts"),
            ({"who": "7"}, "who", "write an expression as text"),
            ({"when": "[{expr: 'true'}]"}, "when[0].message", "this field is needed"),
            ({"when": "[{expr: 'true', mesage: x}]"}, "mesage", "no such field"),
            ({"max_duration": "30"}, "max_duration", "expression as text"),
            ({"max_duration": "'soon'"}, "max_duration", "there is no soon"),
            ({"approvals": "[]"}, "approvals", "at least 1"),
            ({"approvals": "[{if: ticket.is_open, chain: []}]"}, "approvals[0]", "last branch"),
            ({"approvals": "[{if: true, chain: [{any_of: []}]}]"}, "any_of", "at least 1"),
            ({"approvals": "[{if: true, chain: [{any_of: [ada]}]}]"}, "any_of[0]", "names nobody"),
            (
                {"approvals": "[{if: true, chain: [{any_of: [manager], quorum: 0}]}]"},
                "quorum", "greater than or equal to 1",
            ),
            (
                {"approvals": "[{if: true, chain: [{any_of: [manager], lapse_after: 30}]}]"},
                "lapse_after", "with its unit",
            ),
            ({"more": "      approval_strength: telepathy"}, "approval_strength", "notify"),
            ({"more": "      record: maybe"}, "record", "required"),
            ({"more": "      on_ticket_closed: shrug"}, "on_ticket_closed", "revoke"),
            ({"more": "      review_after: 3"}, "review_after", "expression"),
            ({"more": "    break_glass: {allowed: 'true'}"}, "break_glass", "needed"),
            ({"id": "Open Door"}, "id", "match pattern"),
            ({"when": "[{expr: 'true', message: 'is ${ticket.key'}]"}, "message", "without its"),
        ],
    )  # fmt: skip
    def test_speaks_to_the_author(self, parts, where, said):
        found = problems(rule(**parts))
        assert any(where in p.where and said in p.message for p in found), list(map(str, found))

    def test_refuses_an_id_that_is_taken_in_another_file(self):
        files = {"a.yaml": policy(rule()), "b.yaml": policy(rule())}
        with pytest.raises(PolicyNotCompiled, match=r"b\.yaml.*the id is taken by a\.yaml"):
            compile_bundle(files)

    @pytest.mark.parametrize("text", ["", "[]", "just words", "apiVersion: jit/v2", "a: ["])
    def test_refuses_a_file_that_is_no_policy(self, text):
        with pytest.raises(PolicyNotCompiled):
            compile_bundle({"house.yaml": text})

    def test_refuses_a_bundle_that_is_too_large(self):
        with pytest.raises(PolicyNotCompiled, match="characters in all"):
            compile_bundle({"house.yaml": "#" * 1_000_001})

    def test_takes_yamls_own_truth_for_an_expression(self):
        assert compile_bundle({"house.yaml": policy(rule(who="true"))})


class TestDigest:
    def test_does_not_depend_on_line_ends_or_order(self):
        text = policy(rule())
        other = policy(rule(id="other"))
        one = compile_bundle({"a.yaml": text, "b.yaml": other})
        two = compile_bundle({"b.yaml": other + "\n\n", "a.yaml": text.replace("\n", "\r\n")})
        assert one.digest == two.digest

    def test_depends_on_names_and_contents(self):
        digests = {
            compile_bundle(files).digest
            for files in (
                {"a.yaml": policy(rule())},
                {"b.yaml": policy(rule())},
                {"a.yaml": policy(rule()) + "# changed"},
            )
        }
        assert len(digests) == 3
