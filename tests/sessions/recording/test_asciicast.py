"""Lines of asciicast: written, read again, exported."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sessions.recording import asciicast, exporting
from sessions.recording.asciicast import Event


class FakeClock:
    """Nanoseconds that only move when told."""

    def __init__(self) -> None:
        self.now = 5_000_000_000

    def __call__(self) -> int:
        return self.now


class TestLines:
    def test_a_character_split_over_two_reads_is_one(self) -> None:
        lines = asciicast.Lines()
        euro = "€".encode()
        assert lines.of_bytes("o", euro[:1])[1] == b""
        assert lines.of_bytes("o", euro[1:2])[1] == b""
        assert json.loads(lines.of_bytes("o", euro[2:] + b"!")[1])[2] == "€!"

    def test_input_and_output_are_decoded_apart(self) -> None:
        lines = asciicast.Lines()
        lines.of_bytes("o", b"\xe2")
        assert json.loads(lines.of_bytes("i", b"a")[1])[2] == "a"
        assert json.loads(lines.of_bytes("o", b"\x82\xac")[1])[2] == "€"

    def test_bytes_that_are_no_text_become_replacement_characters(self) -> None:
        _, line = asciicast.Lines().of_bytes("o", b"a\xff\xfeb")
        assert json.loads(line)[2] == "a��b"

    def test_half_a_character_at_the_end_is_not_lost_quietly(self) -> None:
        lines = asciicast.Lines()
        lines.of_bytes("o", b"\xe2\x82")
        assert [json.loads(line)[2] for _, line in lines.rest()] == ["�"]

    def test_intervals_are_exact_to_the_microsecond(self) -> None:
        clock = FakeClock()
        lines = asciicast.Lines(clock)
        clock.now += 1_234_567_000
        assert lines.of_text("o", "a") == (1_234_567, b'[1.234567,"o","a"]\n')
        clock.now += 1_000
        assert lines.of_text("o", "b") == (1_234_568, b'[0.000001,"o","b"]\n')

    @given(st.lists(st.binary(max_size=20), max_size=20))
    def test_any_bytes_in_any_cuts_are_what_decoding_all_at_once_gives(
        self, cuts: list[bytes]
    ) -> None:
        lines = asciicast.Lines()
        made = [line for cut in cuts if cut and (line := lines.of_bytes("o", cut)[1])]
        made += [line for _, line in lines.rest()]
        assert all(line.count(b"\n") == 1 for line in made)
        read = "".join(event.text for event in asciicast.events(made))
        assert read == b"".join(cuts).decode("utf-8", "replace")


class TestEvents:
    def test_passes_over_the_header_comments_and_empty_lines(self) -> None:
        written = b'{"version":3}\n# said\n\n[1.5,"o","a"]\n[0.000001,"m","{}"]\n'
        assert list(asciicast.events(written.splitlines())) == [
            Event(1_500_000, "o", "a"),
            Event(1_500_001, "m", "{}"),
        ]

    @given(st.lists(st.tuples(st.integers(0, 10**12), st.text()), max_size=20))
    def test_reads_what_was_written(self, given_events: list[tuple[int, str]]) -> None:
        written = [asciicast.event_line(interval, "o", text) for interval, text in given_events]
        read = list(asciicast.events(written))
        assert [event.text for event in read] == [text for _, text in given_events]
        at = 0
        for event, (interval, _) in zip(read, given_events, strict=True):
            at += interval
            assert event.at == at


class TestExports:
    events = (
        Event(1_000_000, "o", "hi"),
        Event(1_500_000, "r", "100x30"),
        Event(2_000_000, "x", "0"),
    )
    header = {"term": {"cols": 80, "rows": 24, "type": "xterm"}, "timestamp": 7}

    def test_v3_has_intervals(self) -> None:
        read = [json.loads(line) for line in exporting.v3(self.header, self.events)]
        assert read == [
            {"version": 3, **self.header},
            [1.0, "o", "hi"],
            [0.5, "r", "100x30"],
            [0.5, "x", "0"],
        ]

    def test_v2_has_times_and_no_exit(self) -> None:
        read = [json.loads(line) for line in exporting.v2(self.header, self.events)]
        assert read == [
            {"version": 2, "width": 80, "height": 24, "timestamp": 7, "env": {"TERM": "xterm"}},
            [1.0, "o", "hi"],
            [1.5, "r", "100x30"],
        ]

    def test_text_is_what_was_shown(self) -> None:
        assert b"".join(exporting.text(self.events)) == b"hi"
