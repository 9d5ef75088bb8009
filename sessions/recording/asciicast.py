"""Lines of asciicast v3 (docs.asciinema.org/manual/asciicast/v3): made from bytes, and read again.

A line is `[interval, code, text]`, its interval in seconds since the line before, to the
microsecond. Our own facts travel as markers (`m`) whose text is compact JSON.
"""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

VERSION = 3
_utf8 = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True, slots=True)
class Event:
    """What happened `at` microseconds after the recording began."""

    at: int
    code: str
    text: str

    def fact(self) -> dict[str, Any]:
        """Return the fact that a marker carries; a marker of somebody else's is a bare notice."""
        try:
            fact = json.loads(self.text)
        except ValueError:
            fact = None
        return fact if isinstance(fact, dict) else {"kind": "notice", "text": self.text}


def compact(value: Any) -> str:
    """Return `value` as JSON without spaces and in its own letters."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def header_line(header: Mapping[str, Any]) -> bytes:
    """Return the first line: `header` with its version in front."""
    return f"{compact({'version': VERSION, **header})}\n".encode()


def seconds(microseconds: int) -> str:
    """Return `microseconds` as decimal seconds, exactly."""
    whole, part = divmod(microseconds, 1_000_000)
    return f"{whole}.{part:06d}"


def event_line(interval: int, code: str, text: str) -> bytes:
    """Return one event's line; `interval` is in microseconds."""
    try:
        told = orjson.dumps(text)
    except TypeError:  # a lone surrogate in somebody's fact: it has no bytes
        told = orjson.dumps(text.encode("utf-8", "replace").decode())
    return b'[%b,"%b",%b]\n' % (seconds(interval).encode(), code.encode(), told)


class Lines:
    """Turns what one session did into lines, by a clock that never jumps.

    Bytes are decoded as they come: a character split over two reads is one character, while a
    byte that belongs to none becomes U+FFFD, because players know only text. Each stream is
    decoded by itself: what a program says on its two outputs comes in between.
    """

    __slots__ = ("_clock", "_decoders", "_last", "_start")

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._start = clock()
        self._last = 0
        self._decoders: dict[tuple[str, str], codecs.IncrementalDecoder] = {}

    def now(self) -> int:
        """Return the microseconds since the beginning."""
        return (self._clock() - self._start) // 1000

    def of_bytes(
        self, code: str, data: bytes, *, stream: str = "", final: bool = False
    ) -> tuple[int, bytes]:
        """Return when, and the line (empty while a character is only half there)."""
        decoder = self._decoders.get((code, stream))
        if decoder is None:
            decoder = self._decoders[code, stream] = _utf8("replace")
        text = decoder.decode(data, final)
        return self.of_text(code, text) if text else (self._last, b"")

    def of_text(self, code: str, text: str) -> tuple[int, bytes]:
        """Return when (microseconds since the beginning), and the line."""
        at = max(self.now(), self._last)
        line = event_line(at - self._last, code, text)
        self._last = at
        return at, line

    def rest(self) -> list[tuple[int, bytes]]:
        """Return lines for characters that will never be whole."""
        lines = [
            self.of_bytes(code, b"", stream=stream, final=True) for code, stream in self._decoders
        ]
        return [(at, line) for at, line in lines if line]


class NotALine(Exception):
    """The text is no asciicast line; the message says why."""


def parse_line(line: bytes | str) -> tuple[int, str, str]:
    """Return (interval in microseconds, code, text) of an event's line, or raise NotALine."""
    try:
        interval, code, text = orjson.loads(line)
    except (ValueError, TypeError) as malformed:
        raise NotALine(f"not an asciicast event: {malformed}") from malformed
    is_number = isinstance(interval, int | float) and not isinstance(interval, bool)
    if not (is_number and isinstance(code, str) and isinstance(text, str)):
        raise NotALine("an asciicast event is [seconds, code, text]")
    # A double carries microseconds exactly for as long as any session lasts.
    return round(interval * 1_000_000), code, text


def events(lines: Iterable[bytes | str], *, start: int = 0) -> Iterator[Event]:
    """Yield the events of `lines`, the first interval counted from `start` microseconds.

    Comments, empty lines and the header are passed over. Raises NotALine.
    """
    at = start
    for line in lines:
        if not line.strip() or line[:1] in (b"#", "#", b"{", "{"):
            continue
        interval, code, text = parse_line(line)
        at += interval
        yield Event(at, code, text)
