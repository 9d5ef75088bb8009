"""What a statement was given: parameters as text, binary ones as far as they can be read."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from sessions.gateways.postgresql.protocol import binary
from sessions.gateways.postgresql.protocol.framing import Malformed, i32, text_at, u16

LONGEST = 1_000
"""Characters kept of one parameter."""
LONGEST_TOGETHER = 32_768
"""Characters kept of all parameters of one statement."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A Bind message: whose portal of which statement, with the parameters as they came.

    A message may have 65,535 of them: they are looked at only when the portal is run.
    """

    portal: bytes
    statement: bytes
    formats: Sequence[int]
    values: Sequence[bytes | None]


def read_bind(body: bytes) -> Bound:
    """Return a Bind message's content. Raises Malformed."""
    portal, at = text_at(body, 0)
    statement, at = text_at(body, at)
    try:
        count = u16.unpack_from(body, at)[0]
        formats = struct.unpack_from(f"!{count}H", body, at + 2)
        at += 2 + 2 * count
        count = u16.unpack_from(body, at)[0]
        at += 2
        values: list[bytes | None] = []
        for _ in range(count):
            length = i32.unpack_from(body, at)[0]
            at += 4
            if length < 0:
                values.append(None)
                continue
            if at + length > len(body):
                raise Malformed("a parameter is longer than its message")
            values.append(body[at : at + length])
            at += length
    except struct.error:
        raise Malformed("a Bind message is cut off") from None
    return Bound(portal, statement, formats, values)


def as_text(bound: Bound, types: Sequence[int]) -> tuple[list[str | None], bool]:
    """Return the parameters as text, and whether something of them was left out."""
    formats = bound.formats
    told: list[str | None] = []
    left, cut = LONGEST_TOGETHER, False
    for number, raw in enumerate(bound.values):
        if raw is None:
            told.append(None)
            continue
        if left <= 0:
            return told, True
        is_binary = formats[number if len(formats) > 1 else 0] if formats else 0
        kind = types[number] if number < len(types) else 0
        text = _readable(raw, kind) if is_binary else _decoded(raw)
        if len(text) > LONGEST or len(raw) > 4 * LONGEST:
            text, cut = f"{text[:LONGEST]}… ({len(raw)} bytes)", True
        left -= len(text)
        told.append(text)
    return told, cut


def _decoded(raw: bytes) -> str:
    return raw[: 4 * LONGEST].decode("utf-8", "replace")


def _readable(raw: bytes, kind: int) -> str:
    try:
        return binary.read(raw, kind, longest=LONGEST)
    except (ValueError, LookupError):
        return "\\x" + raw[: 2 * LONGEST].hex()
