"""A recording as a player gets it: nothing of what was typed, and facts in people's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sessions.recording.asciicast import Event

LONGEST_LABEL = 100


def for_player(events: Iterable[Event]) -> Iterator[Event]:
    """Yield what a player shows: output, sizes, the end, and markers with a readable label.

    Keystrokes are left out even where they were recorded: passwords are among them.
    """
    for event in events:
        if event.code == "m":
            yield Event(event.at, "m", label(event.fact()))
        elif event.code != "i":
            yield event


def label(fact: Mapping[str, Any]) -> str:
    """Return a fact in a few words: `$ ls`, `upload /etc/passwd`, `notice: …`."""
    kind, text = str(fact.get("kind", "")), str(fact.get("text", ""))
    words = {
        "command": f"$ {text}",
        "statement": text,
        "file": f"{fact.get('op', 'file')} {fact.get('path', '')}",
        "forward": f"forward to {fact.get('to', '')}",
        "opened": f"opened: {fact.get('what', '')}",
        "cancel": "cancelled",
    }.get(kind, f"{kind}: {text}" if text else kind)
    line = " ".join(words.split())
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"
