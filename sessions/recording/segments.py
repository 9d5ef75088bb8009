"""The stored form of a recording: a preamble, then encrypted pieces chained by SHA-256.

docs/recordings.md describes it for whoever reads it without us; the two must agree.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"JITREC01"
MARK = b"\x9aPC1"
FINAL = 1
"""The flag of a recording's last piece: without it the end is missing."""
LONGEST = 64 * 1024 * 1024
"""No piece unfolds to more: a length beyond it is damage."""
_PREAMBLE = struct.Struct(">8s16sQ8sH")
_HEADER = struct.Struct(">4sBIQQQII32s")
HEADER_SIZE = _HEADER.size
_TAG = 16


type Bytes = bytes | mmap.mmap


class Damaged(Exception):
    """The bytes are not what was written; the message says what does not hold."""


@dataclass(frozen=True, slots=True)
class Preamble:
    """What comes before the pieces: whose recording it is, and its data key, wrapped."""

    session_id: uuid.UUID
    began: int
    nonce: bytes
    wrapped_key: bytes

    def encode(self) -> bytes:
        """Return its bytes; `began` is Unix time in microseconds."""
        head = _PREAMBLE.pack(
            MAGIC, self.session_id.bytes, self.began, self.nonce, len(self.wrapped_key)
        )
        return head + self.wrapped_key

    @classmethod
    def decode(cls, data: Bytes) -> tuple[Preamble, int]:
        """Return it and its length, or raise Damaged."""
        if len(data) < _PREAMBLE.size:
            raise Damaged("the preamble is cut off")
        magic, session, began, nonce, length = _PREAMBLE.unpack_from(data)
        end = _PREAMBLE.size + length
        if magic != MAGIC or len(data) < end:
            raise Damaged("the preamble is not one")
        return cls(uuid.UUID(bytes=session), began, nonce, data[_PREAMBLE.size : end]), end

    def digest(self) -> bytes:
        """Return what the first piece is chained to."""
        return hashlib.sha256(self.encode()).digest()


@dataclass(frozen=True, slots=True)
class Header:
    """What is said of a piece in clear: its place, its times in microseconds, its lengths."""

    flags: int
    seq: int
    first: int
    last: int
    wall: int
    plain_size: int
    cipher_size: int
    previous: bytes

    @property
    def final(self) -> bool:
        return bool(self.flags & FINAL)

    @property
    def size(self) -> int:
        """Return the bytes of the whole piece."""
        return HEADER_SIZE + self.cipher_size

    def encode(self) -> bytes:
        return _HEADER.pack(
            MARK,
            self.flags,
            self.seq,
            self.first,
            self.last,
            self.wall,
            self.plain_size,
            self.cipher_size,
            self.previous,
        )

    @classmethod
    def decode(cls, data: Bytes, at: int = 0) -> Header:
        """Return the header at offset `at`, or raise Damaged."""
        if len(data) - at < HEADER_SIZE:
            raise Damaged("the piece is cut off")
        mark, *rest = _HEADER.unpack_from(data, at)
        if mark != MARK:
            raise Damaged("no piece begins here")
        header = cls(*rest)
        if header.plain_size > LONGEST or not _TAG <= header.cipher_size <= LONGEST:
            raise Damaged("the piece's lengths make no sense")
        return header


class Sealer:
    """Makes the pieces of one recording, in order; its memory is a key and a digest."""

    __slots__ = ("_cipher", "_nonce", "head", "seq")

    def __init__(self, *, key: bytes, preamble: Preamble) -> None:
        self._cipher = AESGCM(key)
        self._nonce = preamble.nonce
        self.seq = 0
        self.head = preamble.digest()

    def seal(
        self,
        packer: zstandard.ZstdCompressor,
        plain: bytes,
        *,
        first: int,
        last: int,
        wall: int,
        final: bool = False,
    ) -> bytes:
        """Return the next piece, of the lines in `plain`; the chain moves on with it."""
        packed = packer.compress(plain)
        header = Header(
            flags=FINAL if final else 0,
            seq=self.seq,
            first=first,
            last=last,
            wall=wall,
            plain_size=len(plain),
            cipher_size=len(packed) + _TAG,
            previous=self.head,
        ).encode()
        piece = header + self._cipher.encrypt(nonce(self._nonce, self.seq), packed, header)
        self.head = hashlib.sha256(piece).digest()
        self.seq += 1
        return piece


def new_nonce() -> bytes:
    """Return the random half of a recording's nonces; the other half is the piece's number."""
    return os.urandom(8)


def nonce(prefix: bytes, seq: int) -> bytes:
    """Return the nonce of piece `seq`, unique under the recording's key."""
    return prefix + seq.to_bytes(4, "big")


class Opener:
    """Opens the pieces of one recording, each by itself."""

    def __init__(self, *, key: bytes, preamble: Preamble) -> None:
        self._cipher = AESGCM(key)
        self._nonce = preamble.nonce
        self._unpacker = zstandard.ZstdDecompressor()

    def packed(self, header: Header, piece: bytes) -> bytes:
        """Return the zstd frame in `piece`, or raise Damaged: it was altered or isn't of here."""
        try:
            return self._cipher.decrypt(
                nonce(self._nonce, header.seq), piece[HEADER_SIZE:], piece[:HEADER_SIZE]
            )
        except InvalidTag as broken:
            raise Damaged(f"piece {header.seq} was altered") from broken

    def open(self, header: Header, piece: bytes) -> bytes:
        """Return the lines in `piece`, or raise Damaged."""
        try:
            return self._unpacker.decompress(
                self.packed(header, piece), max_output_size=header.plain_size or 1
            )
        except zstandard.ZstdError as broken:
            raise Damaged(f"piece {header.seq} does not unfold") from broken


def digest(piece: bytes) -> bytes:
    """Return what the following piece is chained to."""
    return hashlib.sha256(piece).digest()


@dataclass(frozen=True, slots=True)
class FoundSegment:
    """A piece that is whole and of this recording."""

    offset: int
    header: Header
    digest: bytes

    def bytes_in(self, data: Bytes) -> bytes:
        return data[self.offset : self.offset + self.header.size]


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no piece of this recording; `seq` is what they claim to be, if anything."""

    offset: int
    size: int
    seq: int | None
    torn: bool
    """Whether the bytes merely end too early, as after a crash."""


def scan(data: Bytes, opener: Opener, at: int = 0) -> Iterator[FoundSegment | Damage]:
    """Yield every piece in `data` from offset `at` on, and what lies between them as damage.

    No length is believed before its piece has opened: after damage the next mark is looked for.
    """
    damaged: int | None = None
    claimed: int | None = None
    while at < len(data):
        try:
            header = Header.decode(data, at)
            piece = data[at : at + header.size]
            opener.packed(header, piece)
        except Damaged:
            if damaged is None:
                damaged, claimed = at, _claim(data, at)
            following = data.find(MARK, at + 1)
            at = following if following >= 0 else len(data)
            continue
        if damaged is not None:
            yield Damage(damaged, at - damaged, claimed, torn=False)
            damaged = None
        yield FoundSegment(at, header, digest(piece))
        at += header.size
    if damaged is not None:
        yield Damage(damaged, at - damaged, claimed, torn=_ends_early(data, damaged))


def _claim(data: Bytes, at: int) -> int | None:
    if data[at : at + 4] != MARK or len(data) - at < HEADER_SIZE:
        return None
    return int(_HEADER.unpack_from(data, at)[2])


def _ends_early(data: Bytes, at: int) -> bool:
    try:
        return at + Header.decode(data, at).size > len(data)
    except Damaged:
        return len(data) - at < HEADER_SIZE
