#!/usr/bin/env python3
"""Read and verify a recording without the application: docs/recordings.md in one file.

    read_recording.py --key sealing.key [--digest HEX --pieces N] FILE... > session.cast

FILEs are a recording's objects in the order of their names, or one spool file. The key file is
the installation's JIT_SEALING_KEY (base64). The digest and the number of pieces stand in the audit
log's event `session.sealed`; with them a cut-off end shows as well. Whatever is wrong goes to
standard error, the readable rest to standard output; the exit status is 1 if anything was wrong.

Needs Python 3.9, cryptography and zstandard.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import struct
import sys
import uuid
from collections.abc import Iterator
from typing import BinaryIO

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK = b"\x9aPC1"
PREAMBLE = struct.Struct(">8s16sQ8sH")
HEADER = struct.Struct(">4sBIQQQII32s")


def data_key(sealing_key: bytes, session: uuid.UUID, wrapped: bytes) -> bytes:
    """Unwrap the recording's key: an envelope within an envelope, both bound to the session."""
    outer = hashlib.sha256(b"jit/sealing\0" + sealing_key).digest()
    address = f"sessions.recording:{session}:key".encode()
    once = AESGCM(outer).decrypt(wrapped[1:13], wrapped[13:61], address)
    return AESGCM(once).decrypt(wrapped[61:73], wrapped[73:], address)


def pieces(
    data: bytes, at: int, cipher: AESGCM, prefix: bytes
) -> Iterator[tuple[int, int, bytes, bytes, bytes] | str]:
    """Yield (seq, final, previous, digest, lines) of each good piece, and text for damage."""
    bad = None
    while at < len(data):
        try:
            _, flags, seq, _, _, _, plain, size, previous = HEADER.unpack_from(data, at)
            piece = data[at : at + HEADER.size + size]
            packed = cipher.decrypt(
                prefix + seq.to_bytes(4, "big"), piece[HEADER.size :], piece[: HEADER.size]
            )
        except (struct.error, ValueError, InvalidTag):
            bad = at if bad is None else bad
            following = data.find(MARK, at + 1)
            at = following if following >= 0 else len(data)
            continue
        if bad is not None:
            yield f"bytes {bad} to {at} are damaged or do not belong here"
            bad = None
        lines = zstandard.ZstdDecompressor().decompress(packed, max_output_size=plain or 1)
        yield seq, flags & 1, previous, hashlib.sha256(piece).digest(), lines
        at += len(piece)
    if bad is not None:
        yield f"bytes {bad} to {len(data)} are damaged or do not belong here"


def read(data: bytes, sealing_key: bytes, out: BinaryIO) -> tuple[list[str], int, bytes]:
    """Write the lines to `out`; return (problems, pieces, digest of the last one)."""
    magic, session, _, prefix, length = PREAMBLE.unpack_from(data)
    if magic != b"JITREC01":
        return ["this is no recording, or its first object is missing"], 0, b""
    start = PREAMBLE.size + length
    key = data_key(sealing_key, uuid.UUID(bytes=session), data[PREAMBLE.size : start])
    problems: list[str] = []
    good: list[tuple[int, int, bytes, bytes, bytes]] = []
    for found in pieces(data, start, AESGCM(key), prefix):
        if isinstance(found, str):
            problems.append(found)
        else:
            good.append(found)
    if [each[0] for each in good] != sorted({each[0] for each in good}):
        problems.append("pieces are not in their places, or there twice")
    expected, last, final = 0, hashlib.sha256(data[:start]).digest(), False
    for seq, ends, previous, digest, lines in sorted(good, key=lambda each: each[0]):
        if seq > expected:
            problems.append(f"pieces {expected} to {seq - 1} are missing")
        elif seq == expected and previous != last:
            problems.append(f"piece {seq} does not follow the one before it")
        if seq >= expected:
            out.write(lines)
            expected, last, final = seq + 1, digest, bool(ends)
    if not final:
        problems.append("the recording has no last piece: its end is missing")
    return problems, expected, last


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    given.add_argument("--key", required=True, help="file with the installation's sealing key")
    given.add_argument("--digest", default="", help="of the last piece, as sealed")
    given.add_argument("--pieces", type=int, default=0, help="how many there are, as sealed")
    given.add_argument("files", nargs="+")
    options = given.parse_args()
    with open(options.key, encoding="ascii") as file:
        key = base64.b64decode(file.read())
    data = b""
    for name in options.files:
        with open(name, "rb") as file:
            data += file.read()
    problems, count, digest = read(data, key, sys.stdout.buffer)
    if options.pieces and count != options.pieces:
        problems.append(f"there are {count} pieces, but {options.pieces} were sealed")
    if options.digest and digest.hex() != options.digest:
        problems.append("the last piece is not the one that was sealed")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
