"""What the templates' tags and filters draw."""

from __future__ import annotations

import datetime as dt

import pytest
from django.template import Context, Template
from django.utils import timezone

from jit.elevation.models import Grant
from jit.elevation.states import EndReason, GrantState, RequestState, ReviewState
from jit.web import icons, states
from jit.web.templatetags import pages


class TestDuration:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (0, "0 s"),
            (45, "45 s"),
            (1800, "30 min"),
            (5400, "1 h 30 min"),
            (90061, "1 d 1 h 1 min 1 s"),
            (None, "—"),
            ("soon", "—"),
        ],
    )
    def test_says_it_as_people_do(self, seconds: object, words: str) -> None:
        assert pages.duration(seconds) == words


class TestClockLeft:
    def test_counts_minutes_and_hours(self) -> None:
        assert [pages.clock_left(s) for s in (5, 245, 3845)] == ["0:05", "4:05", "1:04:05"]


class TestVisible:
    def test_shows_what_hides(self) -> None:
        hostile = "a\u202eb\u200bc\u2066d\x07e\ufeff"
        assert pages.visible(hostile) == "a⟦U+202E⟧b⟦U+200B⟧c⟦U+2066⟧d⟦U+0007⟧e⟦U+FEFF⟧"

    def test_keeps_lines_and_letters(self) -> None:
        assert pages.visible("Über\r\nzwei\tßÞ 漢字") == "Über\nzwei\tßÞ 漢字"

    def test_is_escaped_by_the_template(self) -> None:
        drawn = Template("{% load pages %}{{ text|visible }}").render(
            Context({"text": "<script>alert(1)</script>"})
        )
        assert drawn == "&lt;script&gt;alert(1)&lt;/script&gt;"


class TestHumane:
    def test_turns_seconds_into_words(self) -> None:
        assert pages.humane("at most 900 seconds here") == "at most 15 min here"

    def test_leaves_other_numbers_alone(self) -> None:
        assert pages.humane("step 900 of 2") == "step 900 of 2"


class TestFromCode:
    def test_makes_words_of_a_name(self) -> None:
        assert pages.from_code("DurationTooLong") == "Duration too long"


class TestWho:
    def test_names_everybody_who_is_asked(self) -> None:
        said = pages.who(["group:payments-leads", "user:olga", "role-owner", "manager"])
        assert said == (
            "one of payments-leads or olga or an owner of the role or the requester's manager"
        )

    def test_says_nobody(self) -> None:
        assert pages.who([]) == "nobody"


class TestEvidence:
    def test_is_said_plainly(self) -> None:
        assert pages.spoken("roles_found") == "roles found"
        assert pages.observed([]) == "none"
        assert pages.observed(True) == "yes"
        assert pages.observed({"a_b": [1, 2]}) == "a b: 1, 2"

    def test_shows_a_zero(self) -> None:
        """What was counted and found to be none stood as a blank in the proof of the end."""
        assert pages.observed({"connections_left": 0}) == "connections left: 0"

    def test_names_of_the_target_stay_as_they_are(self) -> None:
        """The role `orders_writer` stood as "orders writer" in the proof of its end."""
        assert pages.observed(["orders_writer"]) == "orders_writer"

    def test_begins_with_the_moment_and_ends_with_what_nobody_looked_at(self) -> None:
        rows = pages.evidence_rows(
            {"not_looked_at": [], "roles_found": 0, "a_new_fact": 1, "observed_at": "now"}
        )
        assert [label for label, _ in rows] == [
            "observed at",
            "roles found",
            "a new fact",
            "not looked at",
        ]


class TestWhen:
    def test_draws_the_readers_zone(self) -> None:
        at = dt.datetime(2026, 1, 5, 12, 0, tzinfo=dt.UTC)
        with timezone.override("Asia/Kolkata"):
            drawn = pages.when(at)
        assert 'datetime="2026-01-05T12:00:00.000+00:00"' in drawn
        assert "17:30:00 IST" in drawn
        assert drawn.endswith("17:30 IST</time>"), "what is read says its zone too"

    def test_reads_stored_json(self) -> None:
        assert 'datetime="2026-01-05T12:00:00.000+00:00"' in pages.when("2026-01-05T12:00:00Z")

    @pytest.mark.parametrize("nothing", [None, "", "never", "2026-01-05T12:00:00"])
    def test_draws_a_dash_for_no_time(self, nothing: str | None) -> None:
        assert pages.when(nothing) == "—"


class TestState:
    @pytest.mark.parametrize("code", [*RequestState, *GrantState, *ReviewState])
    def test_every_state_has_a_word_and_a_shape(self, code: str) -> None:
        look = states.LOOKS[code]
        assert look.word
        assert look.icon in icons.PATHS

    def test_no_two_states_of_a_machine_share_a_shape(self) -> None:
        for machine in (RequestState, ReviewState):
            shapes = [states.LOOKS[state].icon for state in machine]
            assert len(set(shapes)) == len(shapes)
        grants = {states.LOOKS[state].icon for state in GrantState} - {"turn"}
        assert len(grants) == len(GrantState) - 2  # two of them turn, and say which by their word

    def test_every_end_has_words(self) -> None:
        assert {reason.value for reason in EndReason} == set(states.END_REASONS)


class TestIcon:
    def test_a_decoration_is_hidden_from_readers(self) -> None:
        assert 'aria-hidden="true"' in pages.icon("check")

    def test_a_label_is_escaped_and_read(self) -> None:
        drawn = pages.icon("check", '"><script>')
        assert 'role="img"' in drawn
        assert "<script>" not in drawn


class TestWholeSeconds:
    def test_counts_what_an_extension_added(self) -> None:
        """“30:31 left of 30 min” stood on the page of a grant that was made longer."""
        begin = dt.datetime(2026, 1, 5, 12, 0, tzinfo=dt.UTC)
        grant = Grant(duration_seconds=1800, starts_at=begin, ends_at=begin + dt.timedelta(hours=1))
        assert pages.whole_seconds(grant) == 3600
        assert pages.whole_seconds(Grant(duration_seconds=1800)) == 1800
        grant.ends_at = begin + dt.timedelta(seconds=1799)
        assert pages.whole_seconds(grant) == 1800
