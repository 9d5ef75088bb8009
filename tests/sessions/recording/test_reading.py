"""Reading: whatever was done to a recording is found and named, and the rest is still read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sessions.recording import asciicast, segments
from sessions.recording.asciicast import Event
from sessions.recording.models import Standing
from sessions.recording.problems import Kind, Problem, standing
from sessions.recording.reading import Known, Reading
from tests.sessions.recording import support

HEADER = asciicast.header_line({"term": {"cols": 80, "rows": 24}})
COUNT = 8
CONTENTS = [
    (HEADER if n == 0 else b"") + asciicast.event_line(0, "o", f"line {n}") for n in range(COUNT)
]
DATA, OFFSETS = support.made(CONTENTS)
ENDS = [*OFFSETS[1:], len(DATA)]
PREAMBLE = DATA[: OFFSETS[0]]
PIECES = [DATA[start:end] for start, end in zip(OFFSETS, ENDS, strict=True)]
KNOWN = Known(PREAMBLE, COUNT, hashlib.sha256(PIECES[-1]).hexdigest())


def read(parts: Sequence[bytes], known: Known = KNOWN) -> tuple[list[Event], list[Problem]]:
    """Read objects with these bytes, the preamble before the first."""
    reading = Reading(
        known=known, blobs=[(f"{n}", lambda part=part: part) for n, part in enumerate(parts)]
    )
    return list(reading.events()), reading.problems


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events]


def whole(*, without: Sequence[int] = ()) -> list[str]:
    return [f"line {n}" for n in range(COUNT) if n not in without]


def named(problems: list[Problem]) -> list[tuple[Kind, int | None, int | None]]:
    return [(problem.kind, problem.first, problem.last) for problem in problems]


class TestWhole:
    def test_has_no_problems_in_one_object_or_many(self) -> None:
        for parts in ([DATA], [PREAMBLE + PIECES[0], *PIECES[1:]]):
            events, problems = read(parts)
            assert problems == []
            assert standing(problems) is Standing.WHOLE
            assert texts(events) == whole()
            assert [event.at for event in events] == [n * 500_000 for n in range(COUNT)]

    def test_tells_the_header(self) -> None:
        reading = Reading(known=KNOWN, blobs=[("all", lambda: DATA)])
        list(reading.events())
        assert reading.header["term"]["cols"] == 80


class TestTampering:
    @given(st.integers(0, len(DATA) * 8 - 1))
    def test_one_flipped_bit_is_found_and_the_rest_is_read(self, bit: int) -> None:
        changed = bytearray(DATA)
        changed[bit // 8] ^= 1 << bit % 8
        events, problems = read([bytes(changed)])
        assert standing(problems) is Standing.BROKEN
        if bit // 8 < OFFSETS[0]:
            assert texts(events) == whole()
            return
        hit = max(n for n, offset in enumerate(OFFSETS) if offset <= bit // 8)
        assert texts(events) == whole(without=[hit])
        assert (Kind.BROKEN, hit, hit) in named(problems)

    @given(st.integers(0, COUNT - 2))
    def test_a_dropped_piece_is_a_gap(self, n: int) -> None:
        events, problems = read([PREAMBLE, *PIECES[:n], *PIECES[n + 1 :]])
        assert named(problems) == [(Kind.GAP, n, n)]
        assert texts(events) == whole(without=[n])

    def test_a_run_of_dropped_pieces_is_one_gap(self) -> None:
        _, problems = read([PREAMBLE, *PIECES[:2], *PIECES[5:]])
        assert named(problems) == [(Kind.GAP, 2, 4)]
        assert problems[0].sentence == "Pieces 2 to 4 are missing."

    @given(st.integers(0, COUNT - 1))
    def test_a_cut_off_tail_shows_though_every_piece_is_good(self, n: int) -> None:
        events, problems = read([PREAMBLE, *PIECES[:n]])
        assert named(problems) == [(Kind.LOST_TAIL, n, COUNT - 1)]
        assert texts(events) == whole(without=range(n, COUNT))

    @given(st.integers(0, len(DATA) - 1))
    def test_a_cut_anywhere_is_found(self, end: int) -> None:
        events, problems = read([DATA[:end]])
        missing = [n for n in range(COUNT) if ENDS[n] > end]
        assert standing(problems) is not Standing.WHOLE
        assert problems[-1].last == COUNT - 1
        assert texts(events) == whole(without=missing)

    @given(st.integers(0, COUNT - 2), st.integers(0, len(DATA)))
    def test_a_truncated_piece_in_the_middle_is_named(self, n: int, cut: int) -> None:
        short = PIECES[n][: cut % len(PIECES[n])]
        events, problems = read([PREAMBLE, *PIECES[:n], short, *PIECES[n + 1 :]])
        assert {(problem.first, problem.last) for problem in problems} == {(n, n)}
        assert texts(events) == whole(without=[n])

    @given(st.permutations(range(COUNT)))
    def test_any_other_order_is_found_and_put_right(self, order: list[int]) -> None:
        events, problems = read([PREAMBLE + b"".join(PIECES[n] for n in order)])
        assert texts(events) == whole()
        assert bool(problems) == (order != list(range(COUNT)))
        assert {problem.kind for problem in problems} <= {Kind.MISPLACED}

    @given(st.permutations(range(COUNT)))
    def test_objects_in_another_order_are_found(self, order: list[int]) -> None:
        events, problems = read([PREAMBLE, *(PIECES[n] for n in order)])
        assert sorted(texts(events)) == sorted(whole())
        assert bool(problems) == (order != list(range(COUNT)))

    @given(st.integers(0, COUNT - 1))
    def test_a_piece_twice_is_shown_once(self, n: int) -> None:
        events, problems = read([PREAMBLE, *PIECES[: n + 1], PIECES[n], *PIECES[n + 1 :]])
        assert named(problems) == [(Kind.REPEATED, n, n)]
        assert texts(events) == whole()

    @given(st.integers(0, COUNT - 1))
    def test_another_recordings_piece_is_not_taken(self, n: int) -> None:
        other, offsets = support.made(CONTENTS)
        foreign = other[offsets[n] : [*offsets, len(other)][n + 1]]
        events, problems = read([PREAMBLE, *PIECES[:n], foreign, *PIECES[n + 1 :]])
        assert named(problems) == [(Kind.BROKEN, n, n)]
        assert texts(events) == whole(without=[n])

    @given(st.data())
    def test_any_mixture_is_found_and_nothing_false_is_shown(self, data: st.DataObject) -> None:
        parts = [PREAMBLE, *PIECES]
        for _ in range(data.draw(st.integers(1, 4))):
            n = data.draw(st.integers(1, len(parts) - 1))
            match data.draw(st.sampled_from(["flip", "drop", "swap", "cut", "double", "insert"])):
                case "flip":
                    changed = bytearray(parts[n])
                    if changed:
                        bit = data.draw(st.integers(0, len(changed) * 8 - 1))
                        changed[bit // 8] ^= 1 << bit % 8
                    parts[n] = bytes(changed)
                case "drop" if len(parts) > 2:
                    del parts[n]
                case "swap":
                    m = data.draw(st.integers(1, len(parts) - 1))
                    parts[n], parts[m] = parts[m], parts[n]
                case "cut":
                    parts[n] = parts[n][: data.draw(st.integers(0, len(parts[n])))]
                case "double":
                    parts.insert(n, parts[n])
                case "insert":
                    parts.insert(n, data.draw(st.binary(min_size=1, max_size=200)))
        events, problems = read([b"".join(parts)])
        changed_at_all = b"".join(parts) != DATA
        assert bool(problems) == changed_at_all
        seen = texts(events)
        assert seen == [text for text in whole() if text in seen]
        unnamed = set(whole()) - set(seen)
        for n in (int(text.split()[1]) for text in unnamed):
            assert any(
                problem.first is not None
                and problem.last is not None
                and problem.first <= n <= problem.last
                for problem in problems
            ), f"piece {n} is missing and nothing says so: {problems}"

    def test_a_longer_chain_than_the_books_know_is_found(self) -> None:
        known = Known(PREAMBLE, COUNT - 1, hashlib.sha256(PIECES[-2]).hexdigest())
        _, problems = read([DATA], known)
        assert named(problems) == [(Kind.HEAD, None, None)]

    def test_another_last_piece_than_the_books_know_is_found(self) -> None:
        _, problems = read([DATA], Known(PREAMBLE, COUNT, "00" * 32))
        assert named(problems) == [(Kind.HEAD, COUNT - 1, COUNT - 1)]

    def test_an_object_that_the_store_does_not_give_costs_its_pieces(self) -> None:
        def refuse() -> bytes:
            raise OSError("no")

        blobs = [("0", lambda: PREAMBLE + b"".join(PIECES[:3])), ("1", refuse)]
        reading = Reading(known=KNOWN, blobs=[*blobs, ("2", lambda: b"".join(PIECES[5:]))])
        assert texts(list(reading.events())) == whole(without=[3, 4])
        assert [problem.kind for problem in reading.problems] == [Kind.UNREADABLE, Kind.GAP]


class TestEnds:
    def test_a_recording_without_its_last_piece_breaks_off(self) -> None:
        data, offsets = support.made(CONTENTS, final=False)
        known = Known(data[: offsets[0]], COUNT, segments.digest(data[offsets[-1] :]).hex())
        _, problems = read([data], known)
        assert named(problems) == [(Kind.UNFINISHED, COUNT - 1, COUNT - 1)]
        assert standing(problems) is Standing.INCOMPLETE

    def test_a_recorder_that_failed_says_why(self) -> None:
        data, offsets = support.made(CONTENTS, final=False)
        known = Known(
            data[: offsets[0]], COUNT, segments.digest(data[offsets[-1] :]).hex(), "disk full"
        )
        _, problems = read([data], known)
        assert [problem.kind for problem in problems] == [Kind.FAILED]
        assert "disk full" in problems[0].sentence

    def test_reading_goes_on_where_an_earlier_one_stopped(self) -> None:
        blobs = [("all", lambda: DATA)]
        reading = Reading(known=KNOWN, blobs=blobs, from_piece=5)
        assert texts(list(reading.events())) == [f"line {n}" for n in range(5, COUNT)]
        assert reading.problems == []
        assert reading.pieces == COUNT
