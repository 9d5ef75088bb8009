"""One line as a person read it: what was overwritten, erased and coloured on the way is gone."""

from __future__ import annotations

import re
import unicodedata

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
_MOVES = re.compile(r"[\r\x08]|\x1b\[[0-?]*[ -/]*[ACDGHJKP@Xh]")
EDITING = "?2004"
"""Bracketed paste, which line editors turn on at a prompt (readline from 8.1 on, zsh, fish)."""
MOST_ROWS = 100
"""How far down a line editor's drawing goes."""
GAP = "\ufdd0"
"""A cell that nothing was written to: the cursor went past it, as to a prompt at the right. No
character, so nobody writes it (Unicode 23.7), and, unlike NUL, a JSON column takes it.
"""


def clean(line: str, width: int = 0) -> str:
    """Return the line without control sequences, after all editing within it. What a line editor
    draws goes on in the next row of a terminal of so many columns, where that is known.
    """
    return with_gaps(line, width).replace(GAP, " ").rstrip()


def with_gaps(line: str, width: int = 0) -> str:
    """Return the same with GAP where nothing was written."""
    if line.isprintable():
        return line.rstrip()
    line = line.removesuffix("\r")
    if not _MOVES.search(line):
        return CONTROL.sub("", line).rstrip()
    return _edited(line, width)


def rows(drawn: str, width: int) -> tuple[list[str], int]:
    """Return the rows that a line editor has drawn, with GAP where nothing was written, and in
    which of them the cursor stands. Rows that went on in the next are one.
    """
    cells, at = _cells(drawn.replace("\n", "\x1b[B"), width)
    found: list[str] = []
    joins = False
    cursor = 0
    for start in range(0, max(len(cells), at + 1), width):
        row = cells[start : start + width]
        text = "".join(row)
        if joins:
            found[-1] += text
        else:
            found.append(text)
        if start <= at:
            cursor = len(found) - 1
        joins = len(row) == width and row[-1] != GAP
    return [row.rstrip(f" {GAP}") for row in found], cursor


def _edited(line: str, width: int) -> str:
    return "".join(_cells(line, width)[0]).rstrip()


def _cells(line: str, width: int) -> tuple[list[str], int]:  # noqa: C901, PLR0912 -- one branch an editing function, as in ECMA-48
    """Return the cells of the line, and where the cursor stands."""
    cells: list[str] = []
    at = last = columns = 0
    edge = -1
    for found in CONTROL.finditer(line):
        if text := line[last : found.start()]:
            edge = at = _write(cells, at, text)
        last = found.end()
        # What was written up to a row's end has not left that row yet.
        row = (at - (at == edge)) // columns * columns if columns and at else 0
        edge = edge if found["csi"] == "m" else -1
        count = _count(found["args"])
        match found["csi"] or found.group():
            case "\r":
                at = row
            case "\x08":
                at = max(0, at - 1)
            case "A":
                at = max(0, at - count * columns)
            case "B":
                at = min(at + count * columns, MOST_ROWS * columns + at - row)
            case "C":
                at = min(at + count, _WIDEST)
            case "D":
                at = max(0, at - count)
            case "G":
                at = min(row + count - 1, _WIDEST)
            case "H" if not found["args"]:
                at = 0
            case "h" if found["args"] == EDITING:
                columns = width
            case "K" if columns and row + columns < len(cells):
                cells[at : row + columns] = [GAP] * (row + columns - at)
            case "J" | "K":
                _erase(cells, at, found["args"])
            case "P":
                if columns and row + columns < len(cells):
                    cells[row + columns : row + columns] = [GAP] * min(count, row + columns - at)
                del cells[at : at + count]
            case "@":
                cells[at:at] = [" "] * min(count, _WIDEST)
            case "X":
                cells[at : at + count] = [" "] * len(cells[at : at + count])
    return cells, _write(cells, at, line[last:])


_WIDEST = 10_000


def _write(cells: list[str], at: int, text: str) -> int:
    if at > len(cells):
        cells.extend(GAP * (at - len(cells)))
    if text.isascii():
        cells[at : at + len(text)] = text
        return at + len(text)
    for each in text:
        # A wide character takes two cells, a combining one none (UAX 11).
        if unicodedata.combining(each) or each in _JOINS:
            if at:
                cells[at - 1] += each
            continue
        taken = [each, ""] if unicodedata.east_asian_width(each) in "WF" else [each]
        cells[at : at + len(taken)] = taken
        at += len(taken)
    return at


_JOINS = "\u200d\ufe0e\ufe0f"


def _erase(cells: list[str], at: int, args: str) -> None:
    if args == "1":
        cells[:at] = [" "] * len(cells[:at])
    elif args in {"2", "3"}:
        cells.clear()
    else:
        del cells[at:]


def _count(args: str | None) -> int:
    number = (args or "").partition(";")[0]
    return min(max(1, int(number)), _WIDEST) if number.isdigit() else 1
