"""What a terminal's browser has and has not drawn, over dropped lines and slow browsers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessions.terminal import outbox
from sessions.terminal.outbox import Outbox


def all_of(box: Outbox) -> bytes:
    taken = bytearray()
    while data := box.take():
        taken += data
    return bytes(taken)


class TestTake:
    def test_stops_at_the_window_and_goes_on_when_acknowledged(self) -> None:
        box = Outbox()
        box.add(b"x" * (outbox.WINDOW + 10))
        assert box.full
        assert len(all_of(box)) == outbox.WINDOW
        assert box.take() == b""
        box.acknowledge(outbox.WINDOW)
        assert len(all_of(box)) == 10
        assert box.low

    def test_believes_no_acknowledgement_of_what_was_not_sent(self) -> None:
        box = Outbox()
        box.add(b"x" * (2 * outbox.WINDOW))
        box.take()
        box.acknowledge(10**9)
        assert box.start == outbox.CHUNK


class TestResume:
    def test_goes_on_where_the_browser_was(self) -> None:
        box = Outbox()
        box.add(b"abcdef")
        assert all_of(box) == b"abcdef"
        box.acknowledge(2)
        assert box.resume(4)
        assert all_of(box) == b"ef"

    def test_shows_a_new_page_the_last_of_it(self) -> None:
        box = Outbox()
        box.add(b"y" * (outbox.TAIL + 100))
        all_of(box)
        box.acknowledge(outbox.TAIL + 100)
        assert box.resume(None)
        assert len(all_of(box)) == outbox.TAIL

    def test_refuses_a_place_that_never_was_or_is_long_gone(self) -> None:
        box = Outbox()
        box.add(b"z" * (outbox.TAIL * 3))
        while box.take():
            box.acknowledge(box.sent)
        assert not box.resume(0)
        assert not box.resume(outbox.TAIL * 3 + 1)

    @given(st.lists(st.tuples(st.binary(max_size=300), st.booleans(), st.integers(0, 300))))
    def test_loses_and_repeats_nothing_over_any_drops(
        self, steps: list[tuple[bytes, bool, int]]
    ) -> None:
        box, said, got = Outbox(), bytearray(), bytearray()
        for data, drops, drawn in steps:
            box.add(data)
            said += data
            taken = all_of(box)
            if drops:
                got += taken[:drawn]
                assert box.resume(len(got))
            else:
                got += taken
                box.acknowledge(len(got))
        got += all_of(box)
        assert got == said
