"""A recording as others read it: asciicast v3, v2, or plain text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sessions.recording import asciicast
from sessions.recording.asciicast import Event


def v3(header: Mapping[str, Any], events: Iterable[Event]) -> Iterator[bytes]:
    """Yield the lines of an asciicast v3 file."""
    yield asciicast.header_line(header)
    last = 0
    for event in events:
        at = max(event.at, last)
        yield asciicast.event_line(at - last, event.code, event.text)
        last = at


def v2(header: Mapping[str, Any], events: Iterable[Event]) -> Iterator[bytes]:
    """Yield the lines of an asciicast v2 file: times from the beginning, no exit status."""
    term = header.get("term") or {}
    old = {"version": 2, "width": term.get("cols", 80), "height": term.get("rows", 24)}
    old |= {name: header[name] for name in ("timestamp", "title", "env") if name in header}
    if "type" in term:
        old["env"] = {**old.get("env", {}), "TERM": term["type"]}
    yield f"{asciicast.compact(old)}\n".encode()
    last = 0
    for event in events:
        last = max(event.at, last)
        if event.code == "x":
            continue
        told = json.dumps(event.text, ensure_ascii=False)
        yield f'[{asciicast.seconds(last)},"{event.code}",{told}]\n'.encode()


def text(events: Iterable[Event]) -> Iterator[bytes]:
    """Yield what was shown, as it was sent to the terminal and without times."""
    for event in events:
        if event.code == "o":
            yield event.text.encode()
