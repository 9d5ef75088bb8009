"""Which files an old-protocol scp moves: their names, sizes and digests.

The protocol is that of rcp, as OpenSSH's scp.c speaks it: `C0644 size name`, the bytes and a
NUL; `D…` and `E` for folders, `T…` for times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

LONGEST_LINE = 8192


class Notes(Protocol):
    def mark(self, fact: Mapping[str, Any]) -> None: ...


class ScpTap:
    """Listens to the end that sends the files: the person's, or the host's."""

    def __init__(self, notes: Notes, *, person_sends: bool) -> None:
        self._notes = notes
        self._person_sends = person_sends
        self._line = bytearray()
        self._left = 0
        self._size = 0
        self._name = ""
        self._folders: list[str] = []
        self._digest = hashlib.sha256()
        self._lost = False

    def from_person(self, data: bytes) -> None:
        if self._person_sends:
            self._take(data)

    def from_host(self, data: bytes) -> bool:
        if not self._person_sends:
            self._take(data)
        return False

    def finish(self) -> None:
        """Note the file that was cut off."""
        if self._left:
            self._note(incomplete=True)

    def _take(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._lost:
            if self._left:
                part = view[: self._left]
                self._digest.update(part)
                self._left -= len(part)
                view = view[len(part) :]
                if not self._left:
                    self._note(incomplete=False)
            else:
                view = self._control(view)

    def _control(self, view: memoryview) -> memoryview:
        """Take the next control line, or the NUL that ends a file."""
        if not self._line and view[0] in (0, 1, 2):
            return view[1:]
        end = bytes(view[:LONGEST_LINE]).find(b"\n")
        if end < 0:
            self._line += view
            self._lost = len(self._line) > LONGEST_LINE
            return view[len(view) :]
        self._line += view[:end]
        line = self._line.decode("utf-8", "replace")
        self._line.clear()
        self._understand(line)
        return view[end + 1 :]

    def _understand(self, line: str) -> None:
        kind, parts = line[:1], line[1:].split(" ", 2)
        if kind == "E":
            self._folders[-1:] = []
        elif kind == "D" and len(parts) == 3:  # noqa: PLR2004 -- mode, size, name
            self._folders.append(parts[2])
        elif kind == "C" and len(parts) == 3 and parts[1].isdigit():  # noqa: PLR2004 -- as above
            self._left = self._size = int(parts[1])
            self._name = "/".join([*self._folders, parts[2]])
            self._digest = hashlib.sha256()
            if not self._size:
                self._note(incomplete=False)

    def _note(self, *, incomplete: bool) -> None:
        self._notes.mark(
            {
                "kind": "file",
                "op": "upload" if self._person_sends else "download",
                "path": self._name,
                "bytes": self._size - self._left,
                "sha256": self._digest.hexdigest(),
                **({"incomplete": True} if incomplete else {}),
            }
        )
