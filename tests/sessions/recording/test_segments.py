"""The stored form: every alteration of a byte or of the order is found and named."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit.kernel.crypto import SealBroken
from sessions.recording import keys, segments
from tests.sessions.recording import support

CONTENTS = [f'[0.1,"o","line {n}"]\n'.encode() * (n + 1) for n in range(5)]
DATA, OFFSETS = support.made(CONTENTS)


def seen(data: bytes) -> tuple[list[int], list[segments.Damage]]:
    opener, start = support.opened(DATA)
    scanned = list(segments.scan(data, opener, start))
    return (
        [each.header.seq for each in scanned if isinstance(each, segments.FoundSegment)],
        [each for each in scanned if isinstance(each, segments.Damage)],
    )


class TestScan:
    def test_reads_what_was_sealed(self) -> None:
        opener, start = support.opened(DATA)
        scanned = list(segments.scan(DATA, opener, start))
        assert support.contents(DATA) == CONTENTS
        assert [each.header.final for each in scanned] == [False] * 4 + [True]

    @given(st.integers(OFFSETS[0] * 8, len(DATA) * 8 - 1))
    def test_one_flipped_bit_costs_one_piece_and_is_named(self, bit: int) -> None:
        changed = bytearray(DATA)
        changed[bit // 8] ^= 1 << bit % 8
        hit = max(n for n, offset in enumerate(OFFSETS) if offset <= bit // 8)
        whole, damage = seen(bytes(changed))
        assert whole == [n for n in range(5) if n != hit]
        assert len(damage) == 1
        assert damage[0].offset == OFFSETS[hit]

    @given(st.integers(OFFSETS[0], len(DATA) - 1))
    def test_a_cut_anywhere_leaves_the_pieces_before_it(self, end: int) -> None:
        whole, damage = seen(DATA[:end])
        before = [n for n, offset in enumerate([*OFFSETS, len(DATA)]) if n and offset <= end]
        assert whole == [n - 1 for n in before]
        assert [each.torn for each in damage] == ([] if end in OFFSETS else [True])

    @given(st.binary(min_size=1, max_size=300))
    def test_bytes_in_between_are_damage_and_cost_no_piece(self, junk: bytes) -> None:
        whole, damage = seen(DATA[: OFFSETS[2]] + junk + DATA[OFFSETS[2] :])
        assert whole == [0, 1, 2, 3, 4]
        assert [each.offset for each in damage] == [OFFSETS[2]]

    def test_a_piece_of_another_recording_is_damage(self) -> None:
        other, offsets = support.made(CONTENTS)
        foreign = other[offsets[1] : offsets[2]]
        whole, damage = seen(DATA[: OFFSETS[1]] + foreign + DATA[OFFSETS[2] :])
        assert whole == [0, 2, 3, 4]
        assert [each.seq for each in damage] == [1]

    def test_a_length_that_swallows_the_rest_does_not(self) -> None:
        changed = bytearray(DATA)
        changed[OFFSETS[1] + 33 : OFFSETS[1] + 37] = (400).to_bytes(4, "big")
        whole, _ = seen(bytes(changed))
        assert whole == [0, 2, 3, 4]


class TestPreamble:
    def test_comes_back(self) -> None:
        preamble = segments.Preamble(uuid.uuid4(), 7, b"12345678", b"wrapped")
        told = preamble.encode()
        assert segments.Preamble.decode(told + b"more") == (preamble, len(told))

    def test_cut_off_is_said(self) -> None:
        with pytest.raises(segments.Damaged):
            segments.Preamble.decode(DATA[:20])


class TestKeys:
    def test_a_key_opens_for_its_session_only(self) -> None:
        session_id, key = uuid.uuid4(), keys.new()
        wrapped = keys.wrap(key, session_id=session_id)
        assert keys.unwrap(wrapped, session_id=session_id) == key
        with pytest.raises(SealBroken):
            keys.unwrap(wrapped, session_id=uuid.uuid4())
