"""Which files an sftp moves and changes: the SFTP protocol, version 3, read in passing.

draft-ietf-secsh-filexfer-02, with OpenSSH's extensions (its PROTOCOL file). Bodies are not
kept; a file whose bytes were all seen from its start on gets its SHA-256. What is no packet of
the protocol is recorded as it came.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sessions.gateways.ssh.notes import Notes
from sessions.gateways.ssh.sftp_packets import Frames, Reader
from sessions.gateways.ssh.streams import Stream, Window

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 1, 2, 3, 4, 5, 6, 7, 8
SETSTAT, FSETSTAT, REMOVE, MKDIR, RMDIR, STAT, RENAME, SYMLINK = 9, 10, 13, 14, 15, 17, 18, 20
EXTENDED = 200
STATUS, HANDLE, DATA, ATTRS = 101, 102, 103, 105
_OK, _END_OF_FILE = 0, 1
_READS = {11, 12, 16, 19}
"""opendir, readdir, realpath, readlink: they change nothing."""
_WRITES, _APPENDS, _EMPTIES = 0x2, 0x4, 0x10
_HAS_SIZE = 0x1
_SIMPLE = {SETSTAT: "attributes", REMOVE: "remove", MKDIR: "mkdir", RMDIR: "rmdir"}
_PAIRS = {RENAME: "rename", SYMLINK: "symlink"}
_PAIR_EXTENSIONS = {"posix-rename@openssh.com": "rename", "hardlink@openssh.com": "hardlink"}
_HARMLESS = {
    "statvfs@openssh.com", "fstatvfs@openssh.com", "fsync@openssh.com", "limits@openssh.com",
    "expand-path@openssh.com", "home-directory", "users-groups-by-id@openssh.com",
}  # fmt: skip
_MOST_SIZES = 1000

type Answer = Callable[[int, Reader], None]
"""What to do with the answer to a request: its kind, and the rest of it."""


@dataclass(slots=True, eq=False)
class _File:
    path: str
    flags: int
    window: Window
    read: Stream = field(init=False)
    written: Stream = field(init=False)
    saw_end: bool = False
    copied: bool = False

    def __post_init__(self) -> None:
        self.read, self.written = Stream(self.window), Stream(self.window)
        if self.flags & _APPENDS:
            self.written.spoil()


class SftpTap:
    """Reads along both ways; never changes a byte. Answers to one number come in the order of
    the requests that bear it.
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._person, self._host = Frames(), Frames()
        self._window = Window()
        self._awaited: defaultdict[int, deque[Answer]] = defaultdict(deque)
        self._files: dict[bytes, _File] = {}
        self._closing: list[_File] = []
        self._sizes: dict[str, int] = {}
        self._greeted = False
        self._requests: dict[int, Callable[[Reader], Answer]] = {
            OPEN: lambda it: self._opened(_File(it.text(), it.uint32(), self._window)),
            CLOSE: lambda it: self._closed(self._files.pop(it.string(), None)),
            READ: lambda it: self._was_read(self._of(it.string()), it.uint64()),
            WRITE: self._write,
            STAT: lambda it: self._sized(it.text()),
            LSTAT: lambda it: self._sized(it.text()),
            FSTAT: lambda it: self._sized(self._path_of(it.string())),
            FSETSTAT: lambda it: self._change("attributes", self._path_of(it.string())),
            EXTENDED: self._extension,
            **{kind: partial(self._one_path, op) for kind, op in _SIMPLE.items()},
            **{kind: partial(self._two_paths, op) for kind, op in _PAIRS.items()},
            **dict.fromkeys(_READS, lambda _: _nothing),
        }

    def from_person(self, data: bytes) -> None:
        for packet in self._person.of(data):
            self._request(Reader(packet))
        self._notes.fed(self._person.foreign())

    def from_host(self, data: bytes) -> None:
        for packet in self._host.of(data):
            if not self._answer(Reader(packet)):
                self._notes.shown(packet)
        self._notes.shown(self._host.foreign())

    def finish(self) -> None:
        """Note the files that were never closed, and keep what is no whole packet."""
        for file in [*self._closing, *self._files.values()]:
            self._note(file, incomplete=True)
        self._files.clear()
        self._closing.clear()
        self._notes.fed(self._person.rest())
        self._notes.shown(self._host.rest())

    # --- What the person asks ---------------------------------------------------------

    def _request(self, packet: Reader) -> None:
        kind = packet.byte()
        if kind == INIT:
            return  # it carries no number
        number = packet.uint32()
        known = self._requests.get(kind)
        answer = known(packet) if known else self._change("unknown", f"(request {kind})")
        self._awaited[number].append(answer)

    def _write(self, packet: Reader) -> Answer:
        file, offset, body = self._of(packet.string()), packet.uint64(), packet.view()
        file.written.take(offset, body)
        return self._was_written(file, len(body))

    def _one_path(self, op: str, packet: Reader) -> Answer:
        return self._change(op, packet.text())

    def _two_paths(self, op: str, packet: Reader) -> Answer:
        return self._change(op, packet.text(), to=packet.text())

    def _extension(self, packet: Reader) -> Answer:
        name = packet.text()
        if name in _PAIR_EXTENSIONS:
            return self._two_paths(_PAIR_EXTENSIONS[name], packet)
        if name == "copy-data":
            return self._copy(packet)
        if name == "lsetstat@openssh.com":
            return self._one_path("attributes", packet)
        if name in _HARMLESS:
            return _nothing
        return self._change("extension", name[:100])

    def _copy(self, packet: Reader) -> Answer:
        """Take note of a copy that the host makes by itself (draft-ietf-secsh-filexfer-extensions,
        section 7). Without a length it goes to the end: how long that is the host said before.
        """
        source, start, length = self._of(packet.string()), packet.uint64(), packet.uint64()
        target = self._of(packet.string())
        source.copied = target.copied = True
        target.written.spoil()
        if not length and source.path in self._sizes:
            length = max(0, self._sizes[source.path] - start)
        return self._change(
            "copy", source.path, to=target.path, **({"bytes": length} if length else {})
        )

    def _of(self, handle: bytes) -> _File:
        """Return the file of a handle, be it one whose opening we did not see."""
        file = self._files.get(handle)
        if file is None:
            file = self._files[handle] = _File("(a handle of no known file)", 0, self._window)
        return file

    def _path_of(self, handle: bytes) -> str:
        file = self._files.get(handle)
        return file.path if file else ""

    # --- What the host answers --------------------------------------------------------

    def _answer(self, packet: Reader) -> bool:
        """Return whether this is the greeting or an answer to something that was asked."""
        kind = packet.byte()
        if kind == VERSION and not self._greeted:
            self._greeted = True
            return True
        number = packet.uint32()
        awaited = self._awaited.get(number)
        if not awaited:
            return False
        awaited.popleft()(kind, packet)
        if not awaited:
            del self._awaited[number]
        return True

    def _opened(self, file: _File) -> Answer:
        def answered(kind: int, packet: Reader) -> None:
            if kind == HANDLE:
                self._name(packet.string(), file)
            elif kind == STATUS:
                self._fact({"op": "open", "path": file.path, "error": packet.uint32()})

        return answered

    def _name(self, handle: bytes, file: _File) -> None:
        """Remember whose handle this is. Handles can be guessed, so it may be in use by now."""
        used = self._files.get(handle)
        if used is None:
            self._files[handle] = file
        else:
            used.path, used.flags = file.path, file.flags
            if file.flags & _APPENDS:
                used.written.spoil()

    def _was_read(self, file: _File, offset: int) -> Answer:
        def answered(kind: int, packet: Reader) -> None:
            if kind == DATA:
                file.read.take(offset, packet.view())
            elif kind == STATUS and packet.uint32() == _END_OF_FILE:
                file.saw_end = True

        return answered

    def _was_written(self, file: _File, length: int) -> Answer:
        def answered(kind: int, packet: Reader) -> None:
            if kind == STATUS and packet.uint32() != _OK:
                file.written.failed(length)

        return answered

    def _closed(self, file: _File | None) -> Answer:
        if file is None:
            return _nothing
        self._closing.append(file)

        def answered(_kind: int, _packet: Reader) -> None:
            self._closing.remove(file)
            self._note(file)

        return answered

    def _sized(self, path: str) -> Answer:
        def answered(kind: int, packet: Reader) -> None:
            if kind == ATTRS and packet.uint32() & _HAS_SIZE and len(self._sizes) < _MOST_SIZES:
                self._sizes[path] = packet.uint64()

        return answered

    def _change(self, op: str, path: str, **more: Any) -> Answer:
        """Say it once the answer says whether it was done."""

        def answered(kind: int, packet: Reader) -> None:
            failed = packet.uint32() if kind == STATUS else _OK
            if failed:
                more.pop("bytes", None)
                more["error"] = failed
            self._fact({"op": op, "path": path, **more})

        return answered

    # --- The record -------------------------------------------------------------------

    def _note(self, file: _File, *, incomplete: bool = False) -> None:
        """Say what was moved. A file that was only opened moved nothing, and has no digest."""
        cut = {"incomplete": True} if incomplete else {}
        written, read = file.written.told(), file.read.told()
        if file.written.bytes or (file.flags & _EMPTIES and not file.copied):
            self._fact({"op": "upload", "path": file.path, **written, **cut})
        if file.read.bytes or (file.saw_end and not file.copied):
            self._fact({"op": "download", "path": file.path, **read, **cut})
        elif not (file.written.bytes or file.flags & _EMPTIES or file.copied):
            what = "open for writing" if file.flags & _WRITES else "open"
            self._fact({"op": what, "path": file.path, **cut})

    def _fact(self, fact: dict[str, Any]) -> None:
        self._notes.mark({"kind": "file", **fact})


def _nothing(_kind: int, _packet: Reader) -> None:
    """Whatever the answer is, nothing follows from it."""
