"""Reads a recording and tells everything that is wrong with it; the good rest stays readable."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sessions.recording import asciicast, keys
from sessions.recording.asciicast import Event
from sessions.recording.problems import Kind, Problem, pieces
from sessions.recording.segments import Damage, Damaged, FoundSegment, Opener, Preamble, scan

type Blob = tuple[str, Callable[[], bytes]]
"""A stored object: its name, and how to get its bytes."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the books say, against which the bytes are held."""

    preamble: bytes
    pieces: int
    digest: str
    failed: str = ""


class Reading:
    """One pass over a recording. Take all of `events`; `problems` is complete after that."""

    def __init__(self, *, known: Known, blobs: Iterable[Blob], from_piece: int = 0) -> None:
        self.header: Mapping[str, Any] = {}
        self.problems: list[Problem] = []
        self.pieces = 0
        """The number of the first piece not read: where a later reading may go on."""
        self.last_us = 0
        self.whole_pieces = 0
        self._known = known
        self._blobs = blobs
        self._preamble, _ = Preamble.decode(known.preamble)
        key = keys.unwrap(self._preamble.wrapped_key, session_id=self._preamble.session_id)
        self._opener = Opener(key=key, preamble=self._preamble)
        self._from = from_piece
        self._chain = _Chain(self, self._preamble.digest() if not from_piece else None, from_piece)

    def events(self) -> Iterator[Event]:
        """Yield what is readable, in order; times never run backwards."""
        last = 0
        for found, plain in self._unfolded():
            for event in self._events_of(found, plain):
                last = max(last, event.at)
                yield Event(last, event.code, event.text)

    def by_piece(self) -> Iterator[tuple[int, list[Event]]]:
        """Yield each piece's events with the number of the piece that follows, from which another
        reading may go on.
        """
        for found, plain in self._unfolded():
            yield found.header.seq + 1, list(self._events_of(found, plain))

    def ends_at(self) -> dt.datetime:
        """Return when the last line that was read was shown, by the gateway's clock."""
        ends = self._preamble.began + self.last_us
        return dt.datetime.fromtimestamp(ends / 1_000_000, dt.UTC)

    def finish(self) -> list[Problem]:
        """Read to the end for the problems alone: every piece is opened and unfolded, but its
        lines, which nobody asks for, are not taken apart (that would cost twice as much).
        """
        for _ in self.steps():
            pass
        return self.problems

    def steps(self) -> Iterator[None]:
        """Do what `finish` does piece by piece, for who has other things to do in between."""
        for _ in self._unfolded():
            yield

    def _unfolded(self) -> Iterator[tuple[FoundSegment, bytes]]:
        """Yield each good piece with its lines; one object is in memory at a time."""
        for name, get in self._blobs:
            try:
                data = get()
            except Exception as refused:  # noqa: BLE001 -- whatever the store says, the rest is read
                self._chain.unread(name, refused)
                continue
            for found in self._found(data, first=not self.pieces):
                plain = self._plain(found, data)
                if plain is not None:
                    yield found, plain
                self.last_us = max(self.last_us, found.header.last)
        self._chain.end(self._known)

    def _found(self, data: bytes, *, first: bool) -> list[FoundSegment]:
        """Return the good pieces in `data` in their order, not the order they lie in."""
        start = self._after_preamble(data) if first else 0
        good: list[FoundSegment] = []
        for each in scan(data, self._opener, start):
            if isinstance(each, Damage):
                self._chain.damaged(each)
            elif each.header.seq >= self._from and self._chain.takes(each):
                good.append(each)
        return sorted(good, key=lambda found: found.header.seq)

    def _after_preamble(self, data: bytes) -> int:
        told = self._known.preamble
        if data.startswith(told):
            return len(told)
        if not data.startswith(told[:8]):
            return 0  # The first object is missing: a later one begins with a piece.
        self._chain.note(Kind.BROKEN, "The preamble was altered; the books have another.")
        return min(len(told), len(data))

    def _plain(self, found: FoundSegment, data: bytes) -> bytes | None:
        try:
            plain = self._opener.open(found.header, found.bytes_in(data))
        except Damaged:
            self._chain.note(
                Kind.BROKEN, f"Piece {found.header.seq} does not unfold.", found.header.seq
            )
            return None
        self.whole_pieces += 1
        return plain

    def _events_of(self, found: FoundSegment, plain: bytes) -> Iterator[Event]:
        at = found.header.first
        lines = plain.split(b"\n")
        if lines[0].startswith(b"{"):
            self.header = json.loads(lines.pop(0))
            at, resumed = 0, False
        else:
            resumed = True
        for line in lines:
            if not line:
                continue
            interval, code, text = asciicast.parse_line(line)
            # Before a piece's first line something may be missing: its header has the time.
            at = found.header.first if resumed else at + interval
            resumed = False
            yield Event(at, code, text)


class _Chain:
    """Holds what comes against what should come, and notes each difference once."""

    def __init__(self, reading: Reading, digest: bytes | None, expected: int) -> None:
        self._reading = reading
        self._previous = digest
        self._expected = expected
        self._missing: dict[int, Problem] = {}
        self._damage: list[Damage] = []
        self._final = False
        self._last_digest = digest
        self._at_ms = 0

    def note(
        self, kind: Kind, sentence: str, first: int | None = None, last: int | None = None
    ) -> None:
        self._reading.problems.append(
            Problem(kind, sentence, first, first if last is None else last, self._at_ms)
        )

    def unread(self, name: str, why: Exception) -> None:
        self.note(Kind.UNREADABLE, f"{name} can't be read from the store: {why}")

    def damaged(self, damage: Damage) -> None:
        self._damage.append(damage)

    def takes(self, found: FoundSegment) -> bool:
        """Return whether this piece is to be shown."""
        seq = found.header.seq
        if seq < self._expected:
            return self._late(seq)
        if seq > self._expected:
            self._skipped(self._expected, seq - 1)
        else:
            self._junk()
            if self._previous is not None and found.header.previous != self._previous:
                self.note(Kind.CHAIN, f"Piece {seq} does not follow the piece before it.", seq)
        self._previous = self._last_digest = found.digest
        self._expected = self._reading.pieces = seq + 1
        self._final = self._final or found.header.final
        self._at_ms = found.header.last // 1000
        return True

    def _late(self, seq: int) -> bool:
        if seq not in self._missing:
            self.note(Kind.REPEATED, f"Piece {seq} is there twice.", seq)
            return False
        self._reading.problems = [
            each for each in self._reading.problems if each is not self._missing[seq]
        ]
        gap = self._missing.pop(seq)
        self.note(Kind.MISPLACED, f"Piece {seq} is not in its place.", seq)
        rest = [other for other, problem in self._missing.items() if problem is gap]
        for first, last in _runs(rest):
            self._gap(first, last)
        return True

    def _skipped(self, first: int, last: int) -> None:
        claimed = {damage.seq for damage in self._damage if damage.seq is not None}
        named = claimed & set(range(first, last + 1))
        for seq in sorted(named):
            self.note(Kind.BROKEN, f"Piece {seq} was altered and can't be read.", seq)
        for start, end in _runs(seq for seq in range(first, last + 1) if seq not in named):
            if self._damage and not named:
                self.note(Kind.BROKEN, f"{_named(start, end)} can't be read any more.", start, end)
            else:
                self._gap(start, end)
        self._damage = []

    def _gap(self, first: int, last: int) -> None:
        self.note(Kind.GAP, f"{_are(first, last)} missing.", first, last)
        for seq in range(first, last + 1):
            self._missing[seq] = self._reading.problems[-1]

    def _junk(self) -> None:
        if self._damage:
            self.note(
                Kind.FOREIGN,
                f"Before piece {self._expected} there are bytes that do not belong here.",
                self._expected,
            )
        self._damage = []

    def end(self, known: Known) -> None:
        """Hold the end against the head in the books."""
        last = self._expected - 1
        if self._damage and not all(damage.torn for damage in self._damage):
            self._skipped(self._expected, max(known.pieces - 1, self._expected))
        elif known.pieces > self._expected:
            first, end = self._expected, known.pieces - 1
            self.note(Kind.LOST_TAIL, f"{_are(first, end)} missing: the end is lost.", first, end)
        elif known.pieces == self._expected and self._last_digest is not None:
            if self._last_digest.hex() != known.digest:
                self.note(Kind.HEAD, f"Piece {last} is not the one that the books know.", last)
        elif known.pieces < self._expected:
            self.note(
                Kind.HEAD, f"There are more pieces than the {known.pieces} that the books know."
            )
        when = f"{self._reading.ends_at():%Y-%m-%d %H:%M:%S.%f} UTC"
        if known.failed:
            self.note(Kind.FAILED, f"After {when} nothing was recorded: {known.failed}.")
        elif not self._final and known.pieces <= self._expected:
            self.note(
                Kind.UNFINISHED,
                f"The recording breaks off at {when}, when its gateway died: what was shown in "
                "the second after that may be missing.",
                last,
            )


def _named(first: int, last: int) -> str:
    told = pieces(first, last)
    return f"{told[0].upper()}{told[1:]}"


def _are(first: int, last: int) -> str:
    return f"{_named(first, last)} {'is' if first == last else 'are'}"


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of each run of consecutive numbers."""
    first = last = None
    for number in numbers:
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = number
    if first is not None and last is not None:
        yield first, last
