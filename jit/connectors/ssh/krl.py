"""Key revocation lists in OpenSSH's format (PROTOCOL.krl), written and read by ourselves.

sshd refuses every key while the file that `RevokedKeys` names is missing or broken, so it is
only ever replaced whole.
"""

from __future__ import annotations

import os
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

_MAGIC = 0x5353484B524C0A00
_FORMAT = 1
_CERTIFICATES = 1
_SERIAL_LIST = 0x20
_KEY_ID = 0x23
LARGEST = 64_000_000


class BrokenKrl(Exception):
    """The bytes are no KRL of a kind that we write."""


@dataclass(frozen=True, slots=True)
class Krl:
    """What is refused, whichever authority signed it: certificates by key id and by serial.

    `version` grows with every writing; `generated` is in seconds since 1970.
    """

    version: int
    generated: int
    key_ids: frozenset[str] = frozenset()
    serials: frozenset[int] = frozenset()

    def refuses(self, *, key_id: str, serial: int = 0) -> bool:
        return key_id in self.key_ids or serial in self.serials


def written(krl: Krl, *, comment: str = "") -> bytes:
    """Return the list's bytes. Its sections name no CA, so they hold for all that a host trusts."""
    head = struct.pack(">QIQQQ", _MAGIC, _FORMAT, krl.version, krl.generated, 0)
    head += _string(b"") + _string(comment.encode())
    body = _string(b"") + _string(b"")
    if krl.serials:
        serials = sorted(krl.serials)
        body += _section(_SERIAL_LIST, struct.pack(f">{len(serials)}Q", *serials))
    if krl.key_ids:
        names = b"".join(_string(name.encode()) for name in sorted(krl.key_ids))
        body += _section(_KEY_ID, names)
    return head + _section(_CERTIFICATES, body)


def read(content: bytes) -> Krl:
    """Return what a list of ours says. Raises BrokenKrl for anything else."""
    try:
        return _read(memoryview(content))
    except (struct.error, IndexError, UnicodeDecodeError) as broken:
        raise BrokenKrl(f"the KRL is cut short or altered ({broken})") from None


def _read(rest: memoryview) -> Krl:
    magic, form, version, generated, _flags = struct.unpack_from(">QIQQQ", rest)
    if (magic, form) != (_MAGIC, _FORMAT):
        raise BrokenKrl("this is no KRL")
    rest = rest[36:]
    _reserved, rest = _take(rest)
    _comment, rest = _take(rest)
    key_ids: set[str] = set()
    serials: set[int] = set()
    while rest:
        kind, (body, rest) = rest[0], _take(rest[1:])
        if kind != _CERTIFICATES:
            raise BrokenKrl(f"the KRL has a section of kind {kind}, which we don't write")
        ca, body = _take(body)
        if len(ca):
            raise BrokenKrl("the KRL has a section of one CA alone, which we don't write")
        _reserved, body = _take(body)
        while body:
            inner, (part, body) = body[0], _take(body[1:])
            if inner == _SERIAL_LIST:
                serials.update(struct.unpack(f">{len(part) // 8}Q", part))
            elif inner == _KEY_ID:
                while part:
                    name, part = _take(part)
                    key_ids.add(bytes(name).decode())
            else:
                raise BrokenKrl(f"the KRL has entries of kind {inner:#x}, which we don't write")
    return Krl(version, generated, frozenset(key_ids), frozenset(serials))


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def _section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + _string(content)


def _take(rest: memoryview) -> tuple[memoryview, memoryview]:
    (length,) = struct.unpack_from(">I", rest)
    if len(rest) < 4 + length:
        raise BrokenKrl("the KRL is cut short")
    return rest[4 : 4 + length], rest[4 + length :]


def replace(path: Path, content: bytes, *, mode: int) -> None:
    """Put `content` in the place of `path` so that whoever opens it, even after a power cut,
    finds the old or the new content, whole. Raises OSError.
    """
    handle, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
