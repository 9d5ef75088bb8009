"""What is drawn of a recording by others' programs is bounded, and begins at the left."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from sessions.recording import terminal
from sessions.recording.asciicast import Event
from sessions.recording.recorder import Recorder
from tests.sessions.recording import support


def output(*texts: str, size: str = "") -> list[str]:
    events = [Event(0, "r", size)] if size else []
    events += [Event(n, "o", text) for n, text in enumerate(texts, 1)]
    return [event.text for event in terminal.on_a_screen(events) if event.code == "o"]


class TestSize:
    @pytest.mark.parametrize(
        ("said", "drawn"),
        [
            ("0x0", "80x24"),
            ("0x50", "80x50"),
            ("1x1", "2x2"),
            ("100x30", "100x30"),
            ("9000x9000", "1000x300"),
            ("4294967295x4294967295", "1000x300"),
            ("-5x3", "80x24"),
            ("nonsense", "80x24"),
        ],
    )
    def test_that_is_drawn_is_one_that_can_be(self, said: str, drawn: str) -> None:
        assert terminal.usable_text(said) == drawn

    @pytest.mark.parametrize("term", [None, {}, {"cols": 0, "rows": 0}, {"cols": "x"}])
    def test_of_a_header_too(self, term: object) -> None:
        header = terminal.usable_header({"term": term, "title": "x"})
        assert header == {**header, "title": "x"}
        assert (header["term"]["cols"], header["term"]["rows"]) == (80, 24)

    def test_of_no_terminal_or_a_huge_one_is_not_even_recorded(self, tmp_path: Path) -> None:
        recorder = Recorder(tmp_path / "spool")
        session = uuid.uuid7() if hasattr(uuid, "uuid7") else uuid.uuid4()
        tape = recorder.open(session_id=session, header=support.HEADER, on_failure=lambda *_: None)
        tape.resize(0, 0)
        tape.resize(9000, 9000)
        asyncio.run(tape.close())
        recorder.stop()
        (path,) = (tmp_path / "spool").glob("*/*.rec")
        sizes = [event.text for event in support.events(path) if event.code == "r"]
        assert sizes == ["80x24", "1000x300"]
        assert (tape.header["term"]["cols"], tape.header["term"]["rows"]) == (1000, 300)


class TestLines:
    def test_without_a_terminal_are_no_staircase(self) -> None:
        assert output("out\n", "a\nb\r\nc\r", "\nd\n") == ["out\r\n", "a\r\nb\r\nc\r", "\nd\r\n"]

    def test_of_a_terminal_are_left_alone(self) -> None:
        assert output("down\nand on\r\n", size="80x24") == ["down\nand on\r\n"]
