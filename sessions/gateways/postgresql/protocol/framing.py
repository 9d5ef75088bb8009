"""The messages of PostgreSQL's protocol 3, as bytes (PostgreSQL documentation, chapter 54)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = 3 << 16 | 2
SSL_REQUEST = 1234 << 16 | 5679
GSSENC_REQUEST = 1234 << 16 | 5680
CANCEL_REQUEST = 1234 << 16 | 5678

LONGEST_MESSAGE = 64 * 1024 * 1024
"""Bytes: nothing longer is taken from a client."""
LONGEST_STARTUP = 10_000
"""Bytes, as PostgreSQL's own MAX_STARTUP_PACKET_LENGTH."""
LONGEST_BEFORE_LOGIN = 65_536
HEAD = 5
"""Bytes of a message before its body: its kind, and its length without the kind."""

u32 = struct.Struct("!I")
i32 = struct.Struct("!i")
u16 = struct.Struct("!H")
_LENGTH, _SHORTEST_STARTUP = 4, 8


def is_startup_length(length: int) -> bool:
    """Return whether a startup packet may be so long; its length counts itself and a code."""
    return _SHORTEST_STARTUP <= length <= LONGEST_STARTUP


def is_length(length: int, longest: int) -> bool:
    """Return whether a message may be so long; its length counts itself."""
    return _LENGTH <= length <= longest


def object_ids(body: bytes, at: int) -> tuple[int, ...]:
    """Return the counted object ids from `at` on. Raises Malformed."""
    try:
        return struct.unpack_from(f"!{u16.unpack_from(body, at)[0]}I", body, at + 2)
    except struct.error:
        raise Malformed("a list of types is cut off") from None


class Malformed(Exception):
    """Bytes that are no message of the protocol; the message says which rule they break."""


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + u32.pack(len(body) + 4) + body


def parameter_status(name: str, value: str) -> bytes:
    return message(b"S", name.encode() + b"\0" + value.encode() + b"\0")


def error(
    *, severity: str, code: str, text: str, detail: str = "", hint: str = "", notice: bool = False
) -> bytes:
    """Return an ErrorResponse, or a NoticeResponse if `notice`; `code` is an SQLSTATE."""
    fields = {"S": severity, "V": severity, "C": code, "M": text, "D": detail, "H": hint}
    body = b"".join(
        name.encode() + value.replace("\0", " ").encode() + b"\0"
        for name, value in fields.items()
        if value
    )
    return message(b"N" if notice else b"E", body + b"\0")


def error_fields(body: bytes) -> dict[str, str]:
    """Return the fields of an ErrorResponse or NoticeResponse by their letter."""
    return {
        part[:1].decode("ascii", "replace"): part[1:].decode("utf-8", "replace")
        for part in body.split(b"\0")
        if part
    }


def startup(parameters: Mapping[str, str], *, version: int = PROTOCOL_3_0) -> bytes:
    body = u32.pack(version)
    for name, value in parameters.items():
        body += name.encode() + b"\0" + value.encode() + b"\0"
    return u32.pack(len(body) + 5) + body + b"\0"


def startup_parameters(body: bytes) -> dict[str, str]:
    """Return the pairs of a StartupMessage's body, the version taken off.

    Raises Malformed.
    """
    if not body.endswith(b"\0"):
        raise Malformed("the startup message does not end with a zero byte")
    words = body[:-1].split(b"\0")
    if words[-1] == b"":
        words.pop()
    if len(words) % 2:
        raise Malformed("the startup message has a name without a value")
    try:
        decoded = [word.decode("utf-8") for word in words]
    except UnicodeDecodeError:
        raise Malformed("the startup message is not UTF-8") from None
    names = decoded[::2]
    if "" in names or len(set(names)) != len(names):
        raise Malformed("the startup message has an empty name, or one twice")
    return dict(zip(names, decoded[1::2], strict=True))


def negotiate_version(newest: int, unknown: Sequence[str]) -> bytes:
    """Return a NegotiateProtocolVersion: the newest version spoken, and options not known."""
    body = u32.pack(newest) + u32.pack(len(unknown))
    return message(b"v", body + b"".join(name.encode() + b"\0" for name in unknown))


def text_at(body: bytes, start: int) -> tuple[bytes, int]:
    """Return the zero-ended bytes from `start`, and where the next thing begins.

    Raises Malformed.
    """
    end = body.find(b"\0", start)
    if end < 0:
        raise Malformed("a text in a message has no end")
    return body[start:end], end + 1


def messages(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, body) of whole messages; for short streams of known origin."""
    at = 0
    while at + HEAD <= len(stream):
        end = at + 1 + u32.unpack_from(stream, at + 1)[0]
        yield stream[at : at + 1], stream[at + HEAD : end]
        at = end
