"""What a late watcher is shown first: the output from which the screen can be drawn again.

No terminal is emulated. What was put out since the screen was last emptied as a whole (cleared,
reset, or exchanged for the alternate one, as full-screen programs do) draws it exactly; what a
full-screen program drew and left is left out. Where the emptying is too long ago the newest part
is taken: right for a shell, and for a program that draws only what changes right once it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sessions.recording.asciicast import Event

LONGEST = 256 * 1024
"""Characters of a snapshot at most."""
FARTHEST = 4 * 1024 * 1024
"""Characters that are looked through for the last emptying."""
SWITCH = re.compile(r"\x1b\[\?(?:1049|1047|47)([hl])")
"""To the alternate screen (h) and back (l)."""
EMPTIED = re.compile(r"\x1b\[[23]J|\x1bc|\x1b\[H\x1b\[J")
_RESET = "\x1b[0m\x1b[H\x1b[2J"
_ALTERNATE = "\x1b[?1049h"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Text for a fresh terminal; `exact` if nothing before it can matter."""

    text: str
    exact: bool


def snapshot(pieces: Iterable[list[Event]]) -> Snapshot:
    """Return the snapshot at the end of these pieces, which come newest first."""
    kept: list[str] = []
    looked = length = 0
    left: bool | None = None
    """Whether the text now looked at was on the alternate screen; None: no switch seen yet."""
    whole = True
    for part, switch in _backwards(pieces):
        looked += len(part)
        if left is not True:
            kept.append(part)
            length += len(part)
            if EMPTIED.search(part):
                break
        if switch == "h" and left is None:
            return _cut(_ALTERNATE, kept, whole=True)
        if switch:
            left = switch == "l"
        if length > LONGEST or looked > FARTHEST:
            whole = False
            break
    return _cut("", kept, whole=whole)


def _backwards(pieces: Iterable[list[Event]]) -> Iterator[tuple[str, str]]:
    """Yield (text, the switch before it or nothing), newest first."""
    for events in pieces:
        parts = SWITCH.split("".join(event.text for event in events if event.code == "o"))
        for place in range(len(parts) - 1, -1, -2):
            yield parts[place], parts[place - 1] if place else ""


def _cut(entering: str, kept: list[str], *, whole: bool) -> Snapshot:
    text = "".join(reversed(kept))
    emptied = max((found.start() for found in EMPTIED.finditer(text)), default=0)
    text, exact = text[emptied:], whole or bool(emptied)
    if len(text) > LONGEST:
        cut = text.find("\n", len(text) - LONGEST)
        text, exact = text[cut + 1 if cut >= 0 else -LONGEST :], False
    return Snapshot(_RESET + entering + text, exact)
