"""Which files an sftp moves and changes: the SFTP protocol, version 3, read in passing.

draft-ietf-secsh-filexfer-02, with OpenSSH's extensions (its PROTOCOL file). Bodies are not
kept; a file that is read or written from its start without gaps gets its SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

OPEN, CLOSE, READ, WRITE = 3, 4, 5, 6
SETSTAT, FSETSTAT, REMOVE, MKDIR, RMDIR, RENAME, SYMLINK = 9, 10, 13, 14, 15, 18, 20
EXTENDED = 200
STATUS, HANDLE, DATA = 101, 102, 103
LARGEST_PACKET = 1 << 20
"""OpenSSH sends at most 256 KiB; over this it is no SFTP, and we stop reading along."""
_WRITES = 0x2
_SIMPLE = {SETSTAT: "attributes", REMOVE: "remove", MKDIR: "mkdir", RMDIR: "rmdir"}
_PAIRS = {RENAME: "rename", SYMLINK: "symlink"}
_PAIR_EXTENSIONS = {"posix-rename@openssh.com": "rename", "hardlink@openssh.com": "hardlink"}
_HARMLESS = {
    "statvfs@openssh.com", "fstatvfs@openssh.com", "fsync@openssh.com", "limits@openssh.com",
    "expand-path@openssh.com", "home-directory", "users-groups-by-id@openssh.com",
}  # fmt: skip


class Notes(Protocol):
    def mark(self, fact: Mapping[str, Any]) -> None: ...


@dataclass(slots=True)
class _Stream:
    """The bytes of a file in one direction; `hashed` is how far they came without a gap."""

    total: int = 0
    hashed: int = 0
    whole: bool = True
    digest: Any = field(default_factory=hashlib.sha256)

    def take(self, offset: int, body: memoryview) -> None:
        self.total += len(body)
        if offset == self.hashed and self.whole:
            self.digest.update(body)
            self.hashed += len(body)
        else:
            self.whole = False

    def told(self) -> dict[str, Any]:
        return {"bytes": self.total, **({"sha256": self.digest.hexdigest()} if self.whole else {})}


@dataclass(slots=True)
class _File:
    path: str
    writes: bool
    read: _Stream = field(default_factory=_Stream)
    written: _Stream = field(default_factory=_Stream)


class SftpTap:
    """Reads along both ways; never changes a byte."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._person, self._host = _Frames(), _Frames()
        self._opening: dict[int, _File] = {}
        self._reading: dict[int, tuple[bytes, int]] = {}
        self._asked: dict[int, dict[str, Any]] = {}
        self._files: dict[bytes, _File] = {}

    def from_person(self, data: bytes) -> None:
        for packet in self._person.of(data):
            self._request(_Reader(packet))

    def from_host(self, data: bytes) -> bool:
        for packet in self._host.of(data):
            self._answer(_Reader(packet))
        return False

    def finish(self) -> None:
        """Note the files that were never closed."""
        for file in self._files.values():
            self._note(file, incomplete=True)
        self._files.clear()

    def _request(self, packet: _Reader) -> None:
        kind = packet.byte()
        if kind < OPEN:
            return  # INIT carries no id
        number = packet.uint32()
        if kind == OPEN:
            path = packet.text()
            self._opening[number] = _File(path, writes=bool(packet.uint32() & _WRITES))
        elif kind == READ:
            self._reading[number] = (packet.string(), packet.uint64())
        elif kind == WRITE:
            file = self._files.get(packet.string())
            offset = packet.uint64()
            if file is not None:
                file.written.take(offset, packet.view())
        elif kind == CLOSE:
            file = self._files.pop(packet.string(), None)
            if file is not None:
                self._note(file)
        else:
            self._change(kind, number, packet)

    def _change(self, kind: int, number: int, packet: _Reader) -> None:
        """Remember what was asked for, until its answer says whether it was done."""
        if kind == FSETSTAT:
            file = self._files.get(packet.string())
            self._asked[number] = {"op": "attributes", "path": file.path if file else ""}
        elif kind in _SIMPLE:
            self._asked[number] = {"op": _SIMPLE[kind], "path": packet.text()}
        elif kind in _PAIRS:
            self._asked[number] = {
                "op": _PAIRS[kind],
                "path": packet.text(),
                "to": packet.text(),
            }
        elif kind == EXTENDED:
            self._extension(number, packet)

    def _extension(self, number: int, packet: _Reader) -> None:
        name = packet.text()
        if name in _PAIR_EXTENSIONS:
            self._asked[number] = {
                "op": _PAIR_EXTENSIONS[name],
                "path": packet.text(),
                "to": packet.text(),
            }
        elif name not in _HARMLESS:
            self._asked[number] = {"op": "extension", "name": name[:100]}

    def _answer(self, packet: _Reader) -> None:
        kind = packet.byte()
        if kind not in {STATUS, HANDLE, DATA}:
            return
        number = packet.uint32()
        if kind == HANDLE and (file := self._opening.pop(number, None)) is not None:
            self._files[packet.string()] = file
        elif kind == DATA and (asked := self._reading.pop(number, None)) is not None:
            handle, offset = asked
            if handle in self._files:
                self._files[handle].read.take(offset, packet.view())
        elif kind == STATUS:
            self._reading.pop(number, None)
            failed = packet.uint32()
            if (file := self._opening.pop(number, None)) is not None:
                self._fact({"op": "open", "path": file.path, "error": failed})
            elif (fact := self._asked.pop(number, None)) is not None:
                self._fact({**fact, **({"error": failed} if failed else {})})

    def _note(self, file: _File, *, incomplete: bool = False) -> None:
        cut = {"incomplete": True} if incomplete else {}
        if file.writes or file.written.total:
            self._fact({"op": "upload", "path": file.path, **file.written.told(), **cut})
        if file.read.total or not file.writes:
            self._fact({"op": "download", "path": file.path, **file.read.told(), **cut})

    def _fact(self, fact: dict[str, Any]) -> None:
        self._notes.mark({"kind": "file", **fact})


class _Frames:
    """Cuts a stream into packets: four bytes of length, then so many."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lost = False

    def of(self, data: bytes) -> list[bytes]:
        if self._lost:
            return []
        self._buffer += data
        packets: list[bytes] = []
        at, size = 0, len(self._buffer)
        while size - at >= 4:  # noqa: PLR2004 -- the length's own bytes
            length = int.from_bytes(self._buffer[at : at + 4])
            if length > LARGEST_PACKET or not length:
                self._lost = True
                self._buffer.clear()
                return packets
            if size - at - 4 < length:
                break
            packets.append(bytes(self._buffer[at + 4 : at + 4 + length]))
            at += 4 + length
        del self._buffer[:at]
        return packets


class _Reader:
    """Takes a packet apart; what is missing reads as nothing, since a tap must never raise."""

    def __init__(self, packet: bytes) -> None:
        self._packet = memoryview(packet)
        self._at = 0

    def _take(self, size: int) -> memoryview:
        part = self._packet[self._at : self._at + size]
        self._at += size
        return part

    def byte(self) -> int:
        return int.from_bytes(self._take(1))

    def uint32(self) -> int:
        return int.from_bytes(self._take(4))

    def uint64(self) -> int:
        return int.from_bytes(self._take(8))

    def view(self) -> memoryview:
        return self._take(self.uint32())

    def string(self) -> bytes:
        return bytes(self.view())

    def text(self) -> str:
        return self.string().decode("utf-8", "replace")
