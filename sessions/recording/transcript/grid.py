"""What a full-screen program left on the screen: a rough picture, for its words alone."""

from __future__ import annotations

from sessions.recording.transcript.line import CONTROL

ROWS, COLUMNS = 200, 1000


def last_screen(text: str) -> list[str]:
    """Return the lines on the screen after `text` was sent to an empty one.

    Cursor moves, erasing and printing are followed; scroll regions and the like are not.
    """
    return [line for line in ("".join(row).rstrip() for row in _drawn(text).rows) if line]


def cursor_line(text: str) -> str:
    """Return the line on which the cursor stands after `text` was sent to an empty screen."""
    grid = _drawn(text)
    return "".join(grid.rows[grid.row]).rstrip()


def _drawn(text: str) -> _Grid:
    grid = _Grid()
    last = 0
    for found in CONTROL.finditer(text):
        grid.print(text[last : found.start()])
        last = found.end()
        grid.control(found["csi"] or found.group(), found["args"] or "")
    grid.print(text[last:])
    return grid


class _Grid:
    def __init__(self) -> None:
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0

    def print(self, text: str) -> None:
        for number, part in enumerate(text.split("\n")):
            if number:
                self._go(self.row + 1, self.column)
            if part:
                self._write(part[:COLUMNS])

    def control(self, what: str, args: str) -> None:  # noqa: C901 -- one branch a function of ECMA-48
        first, _, second = args.partition(";")
        count = _number(first, 1)
        match what:
            case "\r":
                self.column = 0
            case "\x08" | "D":
                self._go(self.row, self.column - count)
            case "H" | "f":
                self._go(count - 1, _number(second, 1) - 1)
            case "A":
                self._go(self.row - count, self.column)
            case "B" | "E":
                self._go(self.row + count, self.column if what == "B" else 0)
            case "C":
                self._go(self.row, self.column + count)
            case "G":
                self._go(self.row, count - 1)
            case "d":
                self._go(count - 1, self.column)
            case "K":
                del self.rows[self.row][self.column :]
            case "J" if first in {"2", "3"}:
                self.rows = [[] for _ in self.rows]
            case "J":
                del self.rows[self.row][self.column :]
                del self.rows[self.row + 1 :]

    def _go(self, row: int, column: int) -> None:
        self.row = min(max(0, row), ROWS - 1)
        self.column = min(max(0, column), COLUMNS - 1)
        while len(self.rows) <= self.row:
            self.rows.append([])

    def _write(self, text: str) -> None:
        cells = self.rows[self.row]
        if self.column > len(cells):
            cells.extend(" " * (self.column - len(cells)))
        cells[self.column : self.column + len(text)] = text
        self.column = min(self.column + len(text), COLUMNS)


def _number(text: str, default: int) -> int:
    return min(int(text), COLUMNS) if text.isdigit() and int(text) else default
