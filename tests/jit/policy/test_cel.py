"""The traps that were measured in the engine, one test each."""

from __future__ import annotations

import threading

import pytest

from jit.policy import cel
from jit.policy.cel import EvaluationFailed, NotCompiled, Situation, Wants, compile_clause
from jit.policy.facts import ATTRIBUTES
from tests.jit.policy.support import facts


def faults(text, wants=Wants.BOOL):
    with pytest.raises(NotCompiled) as raised:
        compile_clause(text, wants)
    return raised.value.faults


def holds(text, **changes):
    return compile_clause(text, Wants.BOOL).holds(Situation(facts(**changes)))


class TestCompileClause:
    def test_finds_an_unknown_attribute_with_its_column_and_suggests_one(self):
        (fault,) = faults("true || ticket.severty <= 2")
        assert (fault.line, fault.column) == (1, 15)
        assert "did you mean ticket.severity?" in fault.message

    def test_finds_it_on_the_second_line_behind_a_short_circuit(self):
        (fault,) = faults("true ||\n  ticket.severty == 1")
        assert (fault.line, fault.column) == (2, 9)

    def test_reports_every_fault(self):
        assert len(faults("ticket.severty == 1 && usr.id == 'rita'")) == 2

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("ticket.severity == 'high'", "no matching overload"),
            ("ticket.severity", "this is INT, but BOOL is needed"),
            ("user.groups", "LIST"),
            ("dyn('x')", "DYN"),
            ("approve(user.id)", "there is no approve"),
            ("ticket.severity ==", "Syntax error"),
            ("", "Syntax error"),
            ("ticket", "there is no ticket"),
            ("x" * 3000, "longer than"),
        ],
    )
    def test_refuses_what_is_no_condition(self, text, said):
        assert said in faults(text)[0].message

    def test_hints_at_the_trap_of_has_on_an_attribute(self):
        for text in ("has(ticket.severity)", "true && has(ticket.severity)"):
            assert "is always there" in faults(text)[0].message
        assert faults("true &&\n has( ticket.severity )")[0].line == 2

    def test_allows_has_on_a_map(self):
        assert holds("has(role.tags.tier)", role__tags={"tier": "1"}) is True
        assert holds("has(role.tags.tier)") is False

    def test_refuses_another_type_than_a_duration(self):
        assert "DURATION" in faults("ticket.severity", Wants.DURATION)[0].message
        mixed = "ticket.severity == 1 ? duration('4h') : '2h'"
        assert "no matching overload" in faults(mixed, Wants.DURATION)[0].message

    @pytest.mark.parametrize(
        "text",
        [
            "request.duration < duration('half an hour')",
            "ticket.severity == 1 || request.at > timestamp('2026')",
            "ticket.key.matches('[')",
            "request.at.getHours('Mars/Base') > 2",
        ],
    )
    def test_finds_a_literal_that_would_fail_whenever_it_is_asked(self, text):
        assert faults(text)

    def test_accepts_literals_that_can_be_read(self):
        assert holds("request.at.getHours('Europe/Berlin') == 13 && ticket.key.matches('^OPS-')")


class TestHolds:
    def test_is_the_engines_answer(self):
        assert holds("ticket.severity <= 2") is True
        assert holds("ticket.severity <= 1") is False

    @pytest.mark.parametrize(
        "text",
        [
            "role.tags.tier == '1'",
            "!(role.tags.tier == '1')",
            "user.attributes['x'] != 'y'",
            "1 / (ticket.severity - 2) > 0",
            "9223372036854775807 + ticket.severity > 0",
            "ticket.key.matches(ticket.status + '[')",
        ],
    )
    def test_never_takes_an_error_for_true_though_it_is_a_truthy_text(self, text):
        with pytest.raises(EvaluationFailed):
            holds(text)

    @pytest.mark.parametrize("value", ["1", None, 1 << 70, [], object()])
    def test_fails_on_a_fact_of_the_wrong_type(self, value):
        native = facts().native() | {"ticket.severity": value}
        for text in ("ticket.severity <= 2", "!(ticket.severity > 2)", "ticket.severity != 1"):
            with pytest.raises(EvaluationFailed):
                compile_clause(text, Wants.BOOL).holds(Situation(native))

    def test_fails_on_a_fact_that_is_not_there(self):
        native = facts().native()
        del native["ticket.severity"]
        with pytest.raises(EvaluationFailed):
            compile_clause("ticket.severity <= 2", Wants.BOOL).holds(Situation(native))

    def test_fails_on_text_that_is_no_unicode(self):
        with pytest.raises(EvaluationFailed):
            holds("ticket.key == 'x'", ticket__key="\ud800")

    def test_stops_an_expression_that_would_run_for_ever(self):
        groups = ", ".join(f"'g{n}'" for n in range(60))
        text = "true"
        for name in "abcde":
            text = f"[{groups}].all({name}, {text})"
        with pytest.raises((EvaluationFailed, NotCompiled)):
            holds(text)

    def test_gives_every_thread_the_same_answer(self):
        program = compile_clause(
            "ticket.severity <= 2 && 'payments-sre' in user.groups", Wants.BOOL
        )
        wrong = []

        def ask(severity):
            answers = {
                program.holds(Situation(facts(ticket__severity=severity))) for _ in range(300)
            }
            if answers != {severity <= 2}:
                wrong.append(severity)

        threads = [threading.Thread(target=ask, args=(n,)) for n in (1, 2, 3, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_does_not_quote_the_facts_in_its_error(self):
        with pytest.raises(EvaluationFailed) as raised:
            holds("user.attributes[ticket.status] == 'y'", user__attributes={"salary": "12345"})
        assert "12345" not in str(raised.value)


class TestSeconds:
    def ask(self, text, **changes):
        program = compile_clause(text, Wants.DURATION)
        return program.seconds(Situation(facts(**changes)))

    def test_is_computed(self):
        text = "ticket.severity == 1 ? duration('4h') : duration('2h')"
        assert self.ask(text) == 7200
        assert self.ask(text, ticket__severity=1) == 14400

    def test_rounds_down(self):
        assert self.ask("duration('1.9s')") == 1

    @pytest.mark.parametrize(
        "text", ["duration('-1h')", "duration(ticket.key)", "duration('1h') - duration('2h')"]
    )
    def test_fails_on_an_error_and_on_a_negative_one(self, text):
        with pytest.raises(EvaluationFailed):
            self.ask(text)


class TestSpell:
    def spell(self, text, **changes):
        return compile_clause(text, Wants.TEXT).spell(Situation(facts(**changes)))

    def test_spells_texts_numbers_truths_and_durations(self):
        assert self.spell("ticket.key") == "OPS-1"
        assert self.spell("ticket.severity // a comment") == "2"
        assert self.spell("ticket.is_open") == "true"
        assert self.spell("request.duration") == "30m"

    def test_fails_on_an_error_instead_of_printing_it(self):
        with pytest.raises(EvaluationFailed):
            self.spell("role.tags.tier")

    def test_refuses_what_a_sentence_cannot_hold(self):
        assert "sentence" in faults("user.groups", Wants.TEXT)[0].message


class TestAttributes:
    @pytest.mark.parametrize(
        "text",
        ["role.team == 'a'", "role . team == 'a'", "role.\n team == 'a'", "role.`team` == 'a'",
         "role. // why\n team == 'a'"],
    )  # fmt: skip
    def test_never_misses_one_however_it_is_written(self, text):
        assert "role.team" in compile_clause(text, Wants.BOOL).attributes

    def test_names_no_others(self):
        program = compile_clause("ticket.severity <= 2 && has(role.tags.tier)", Wants.BOOL)
        assert program.attributes == {"ticket.severity", "role.tags"}
        assert program.reads("role")
        assert not program.reads("user")

    def test_agrees_with_the_engine_on_every_attribute(self):
        for name in ATTRIBUTES:
            assert compile_clause(f"{name} == {name}", Wants.BOOL).attributes == {name}


class TestSituation:
    def test_refuses_names_that_cannot_be_bound(self):
        with pytest.raises(EvaluationFailed):
            Situation({1: "x"})  # type: ignore[dict-item]


def test_one_text_is_one_program():
    assert cel.compile_clause("true", Wants.BOOL) is cel.compile_clause("true", Wants.BOOL)
