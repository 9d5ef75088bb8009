"""Which files an old-protocol scp moves: their places, sizes and digests.

The protocol is that of rcp, as OpenSSH's scp.c speaks it. One end sends `C0644 size name`, the
bytes and a NUL, `D…` and `E` for folders, `T…` for times, and 1 or 2 with a message and a line
end for what failed. The other answers each of those but the messages: a NUL, or 1 or 2 with a
message. Only that is left off the recording; whatever else passes is kept as it came.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from enum import Enum
from typing import Any

from sessions.gateways.ssh.notes import Notes
from sessions.gateways.ssh.old_scp import OldScp

LONGEST_LINE = 2000
"""scp.c reads a longer one as two."""
MOST_UNANSWERED = 256 * 1024
"""Bytes that may be sent ahead of the answer which says how they are to be read."""
_ENTRY = re.compile(r"(?P<kind>[CD])[0-7]{3,5} (?P<size>\d{1,19}) (?P<name>[^/]+)", re.DOTALL)
_TIMES = re.compile(r"T\d{1,20} \d{1,7} \d{1,20} \d{1,7}")
_OK, _WARNING, _FATAL = 0, 1, 2


class _Wants(Enum):
    """What the sending end's bytes are next."""

    GO = "the answer with which the other end begins"
    LINE = "a control line"
    ANSWER = "nothing, until the other end answers"
    BODY = "a file's bytes"
    END = "the NUL or message after a file's bytes"


class ScpTap:
    """Listens to both ends: how the sender's bytes are to be read depends on the answers."""

    def __init__(self, notes: Notes, asked: OldScp) -> None:
        self._notes = notes
        self._asked = asked
        self._wants = _Wants.GO
        self._sent = bytearray()
        """What the sending end said and we have not read yet."""
        self._answered = bytearray()
        self._answers: deque[str] = deque()
        """Answers that were given and not needed yet: empty for a yes, else the message."""
        self._asking: tuple[str, str, int] = ("", "", 0)
        """What waits for its answer: kind, name, size."""
        self._folders: list[str] = []
        self._file: _File | None = None
        self._lost = False

    def from_person(self, data: bytes) -> None:
        self._take(data, sender=self._asked.person_sends, keep=self._notes.fed)

    def from_host(self, data: bytes) -> None:
        self._take(data, sender=not self._asked.person_sends, keep=self._notes.shown)

    def finish(self) -> None:
        """Note the file that was cut off, and keep what was not understood."""
        self._give_up("")

    def _take(self, data: bytes, *, sender: bool, keep: Any) -> None:
        if self._lost:
            keep(data)
            return
        if sender:
            self._sent += data
        else:
            self._answered += data
            self._read_answers()
        while not self._lost and self._step():
            pass
        if not self._lost and self._wants is not _Wants.LINE and len(self._sent) > MOST_UNANSWERED:
            self._give_up("one end did not wait for the other")

    # --- The answering end ------------------------------------------------------------

    def _read_answers(self) -> None:
        while self._answered:
            kind = self._answered[0]
            if kind == _OK:
                self._answers.append("")
                del self._answered[0]
                continue
            message = self._message(self._answered, person=not self._asked.person_sends)
            if message is None:
                return
            self._answers.append(message or "refused")

    def _message(self, data: bytearray, *, person: bool) -> str | None:
        """Take a message off `data` and keep its text; None while it is not whole. What is no
        message either is the end of our understanding.
        """
        end = data.find(b"\n", 0, LONGEST_LINE)
        if data[0] not in {_WARNING, _FATAL} or (end < 0 and len(data) >= LONGEST_LINE):
            self._give_up("an end spoke another language")
            return None
        if end < 0:
            return None
        told = bytes(data[1 : end + 1])
        del data[: end + 1]
        (self._notes.fed if person else self._notes.shown)(told)
        return told.decode("utf-8", "replace").strip()

    # --- The sending end --------------------------------------------------------------

    def _step(self) -> bool:
        """Read one thing; return whether there may be more."""
        match self._wants:
            case _Wants.GO:
                if not self._answers:
                    return False
                self._answers.popleft()
                self._wants = _Wants.LINE
                return True
            case _Wants.LINE:
                return bool(self._sent) and self._line()
            case _Wants.ANSWER:
                return bool(self._answers) and self._answer(self._answers.popleft())
            case _Wants.BODY:
                return bool(self._sent) and self._body()
            case _Wants.END:
                return bool(self._sent) and self._end()

    def _line(self) -> bool:
        if self._sent[0] in {_WARNING, _FATAL}:
            return self._message(self._sent, person=self._asked.person_sends) is not None
        end = self._sent.find(b"\n", 0, LONGEST_LINE)
        if end < 0:
            if self._sent[0] not in b"CDET" or len(self._sent) >= LONGEST_LINE:
                self._give_up("an end spoke another language")
            return False
        line = self._sent[:end].decode("utf-8", "replace")
        entry = _ENTRY.fullmatch(line)
        if entry:
            self._asking = (entry["kind"], entry["name"], int(entry["size"]))
        elif line == "E" or _TIMES.fullmatch(line):
            self._asking = (line[0], "", 0)
        else:
            self._give_up("an end spoke another language")
            return False
        del self._sent[: end + 1]
        self._wants = _Wants.ANSWER
        return True

    def _answer(self, refusal: str) -> bool:
        """Go on as the other end decided."""
        kind, name, size = self._asking
        self._asking = ("", "", 0)
        self._wants = _Wants.LINE
        if kind == "E":
            self._folders[-1:] = []
        elif kind == "D" and not refusal:
            self._folders.append(name)
        elif kind == "C":
            file = _File([*self._folders, name], size)
            if refusal:
                self._note(file, error=refusal)
            else:
                self._file = file
                self._wants = _Wants.BODY if size else _Wants.END
        elif not kind and self._file is not None:
            file, self._file = self._file, None
            self._note(file, error=refusal)
        return True

    def _body(self) -> bool:
        file = self._file
        assert file is not None  # noqa: S101 -- a body is that of a file
        part = bytes(self._sent[: file.left])
        del self._sent[: len(part)]
        file.take(part)
        if not file.left:
            self._wants = _Wants.END
        return True

    def _end(self) -> bool:
        if self._sent[0] == _OK:
            del self._sent[0]
        else:
            message = self._message(self._sent, person=self._asked.person_sends)
            if message is None:
                return False
            if self._file is not None:
                self._file.broken = True
        self._wants = _Wants.ANSWER
        return True

    # --- The record -------------------------------------------------------------------

    def _give_up(self, why: str) -> None:
        """Understand nothing from here on: all that passes is recorded as it came."""
        if self._lost:
            return
        self._lost = True
        if self._file is not None:
            self._file.broken = True
            self._note(self._file, error="")
        if why:
            self._notes.mark(
                {"kind": "notice", "text": f"This is not the protocol of scp ({why})."}
            )
        sent, answered = bytes(self._sent), bytes(self._answered)
        person, host = (sent, answered) if self._asked.person_sends else (answered, sent)
        self._notes.fed(person)
        self._notes.shown(host)

    def _note(self, file: _File, *, error: str) -> None:
        places = self._asked.places(file.names)
        self._notes.mark(
            {
                "kind": "file",
                "op": "upload" if self._asked.person_sends else "download",
                **places,
                **({} if places["path"].endswith(file.names[-1]) else {"name": file.names[-1]}),
                **file.told(),
                **({"error": error[:300]} if error else {}),
            }
        )


class _File:
    """A file on its way: what it is called, how much of it is to come, and its digest so far."""

    def __init__(self, names: list[str], size: int) -> None:
        self.names = names
        self.left = self.size = size
        self.broken = False
        self._digest = hashlib.sha256()

    def take(self, part: bytes) -> None:
        self._digest.update(part)
        self.left -= len(part)

    def told(self) -> dict[str, Any]:
        whole = not self.left and not self.broken
        return {
            "bytes": self.size - self.left,
            **({"sha256": self._digest.hexdigest()} if whole else {"incomplete": True}),
        }
