"""One line as a person read it: what was overwritten, erased and coloured on the way is gone."""

from __future__ import annotations

import re

CONTROL = re.compile(
    r"\x1b\[(?P<args>[0-?]*)[ -/]*(?P<csi>[@-~])"  # CSI … final
    r"|\x1b\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)"  # OSC … BEL or ST
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # DCS, SOS, PM, APC … ST
    r"|\x1b[ -/]*[0-~]"  # two-letter escapes
    r"|[\x00-\x08\x0b-\x1f\x7f]"  # control characters but tab and newline
)
UNFINISHED = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,4096}\x1b?|[PX^_][^\x1b]{0,4096}\x1b?)?\Z"
)
"""A control sequence whose end has not come yet."""
_MOVES = re.compile(r"[\r\x08]|\x1b\[[0-?]*[ -/]*[CDGKP@X]")


def clean(line: str) -> str:
    """Return the line without control sequences, after all editing within it."""
    if line.isprintable():
        return line.rstrip()
    line = line.removesuffix("\r")
    if not _MOVES.search(line):
        return CONTROL.sub("", line).rstrip()
    return _edited(line)


def _edited(line: str) -> str:  # noqa: C901 -- one branch an editing function, as in ECMA-48
    cells: list[str] = []
    at = last = 0
    for found in CONTROL.finditer(line):
        at = _write(cells, at, line[last : found.start()])
        last = found.end()
        count = _count(found["args"])
        match found["csi"] or found.group():
            case "\r":
                at = 0
            case "\x08":
                at = max(0, at - 1)
            case "C":
                at = min(at + count, _WIDEST)
            case "D":
                at = max(0, at - count)
            case "G":
                at = min(count - 1, _WIDEST)
            case "K":
                _erase(cells, at, found["args"])
            case "P":
                del cells[at : at + count]
            case "@":
                cells[at:at] = [" "] * min(count, _WIDEST)
            case "X":
                cells[at : at + count] = [" "] * len(cells[at : at + count])
    _write(cells, at, line[last:])
    return "".join(cells).rstrip()


_WIDEST = 10_000


def _write(cells: list[str], at: int, text: str) -> int:
    if at > len(cells):
        cells.extend(" " * (at - len(cells)))
    cells[at : at + len(text)] = text
    return at + len(text)


def _erase(cells: list[str], at: int, args: str) -> None:
    if args == "1":
        cells[:at] = [" "] * len(cells[:at])
    elif args == "2":
        cells.clear()
    else:
        del cells[at:]


def _count(args: str | None) -> int:
    number = (args or "").partition(";")[0]
    return min(max(1, int(number)), _WIDEST) if number.isdigit() else 1
