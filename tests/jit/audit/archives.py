"""Exports and evidence packs made without a database, and ways to spoil them."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from jit.audit import events, log, verifier
from jit.audit.events import Links
from jit.audit.signing import Signer
from jit.audit.verifier import Frontier, Key, NotValid
from tests.jit.audit.conftest import NOW, RITA, SIGN_IN

_private = Ed25519PrivateKey.generate()
SIGNER = Signer(Key("jit.local/audit", _private.public_key().public_bytes_raw()), _private)
BODIES = [
    events.build(
        action="user.signed-in",
        actor=RITA,
        now=NOW,
        subject=SIGN_IN,
        links=Links(),
        body={"number": number, "text": "one\ntwo \u2028 three"},
    ).body
    for number in range(12)
]
LEAVES = [verifier.leaf_hash(body) for body in BODIES]


def read(level: int, idx: int) -> bytes:
    if level == 0:
        return LEAVES[idx]
    return log.node_hash(read(level - 1, 2 * idx), read(level - 1, 2 * idx + 1))


def tree(size: int) -> Frontier:
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(leaf)
    return frontier


def note(size: int) -> str:
    """Return the signed checkpoint of the first `size` events."""
    return SIGNER.checkpoint(size=size, root=tree(size).root(), at=NOW)


def archive(*, since: int = 0, size: int = 12, by: tuple[int, ...] = (4, 8, 12)) -> bytes:
    """Return an export as `jit.audit.exporting` writes it, under checkpoints of `by`."""
    packed = io.BytesIO()
    covered = [at for at in by if since <= at <= size]
    proof = log.consistency_proof(since, size, read)
    steps = [base64.b64encode(step).decode() for step in proof]
    members: dict[str, str | bytes] = {
        "manifest.json": json.dumps({"format": verifier.EXPORT, "since": since, "size": size}),
        "keys.txt": f"{SIGNER.key}\n",
        "checkpoints.jsonl": "".join(json.dumps({"note": note(at)}) + "\n" for at in covered),
        "events.jsonl": b"".join(body + b"\n" for body in BODIES[since:size]),
        "leaves.bin": b"".join(LEAVES[since:size]),
    }
    if since:
        members["frontier.bin"] = b"".join(tree(since).peaks)
        members["consistency.json"] = json.dumps({"first": since, "second": size, "proof": steps})
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return packed.getvalue()


def evidence() -> dict[str, Any]:
    """Return a pack of events 2 to 9 as `jit.audit.evidence` makes it."""
    return {
        "format": verifier.EVIDENCE,
        "key": str(SIGNER.key),
        "checkpoint": note(12),
        "events": [
            {
                "index": index,
                "event": BODIES[index].decode(),
                "proof": [
                    base64.b64encode(step).decode() for step in log.inclusion_proof(index, 12, read)
                ],
            }
            for index in range(2, 10)
        ],
    }


def changed(path: Path, **members: Callable[[bytes], bytes]) -> Path:
    """Return a copy of the archive with the named members run through a function."""
    into = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(into, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            change = members.get(name.partition(".")[0])
            new.writestr(name, change(content) if change else content)
    return into


def flip(index: int) -> Callable[[bytes], bytes]:
    """Return a change that makes another person act in the event of that line."""

    def altered(content: bytes) -> bytes:
        found = content.split(b"\n")
        found[index] = found[index].replace(b"rita", b"otto", 1)
        return b"\n".join(found)

    return altered


def without(index: int) -> Callable[[bytes], bytes]:
    """Return a change that drops that line."""

    def dropped(content: bytes) -> bytes:
        found = content.split(b"\n")
        return b"\n".join(found[:index] + found[index + 1 :])

    return dropped


def bad(path: Path, **more: Any) -> tuple[int | None, str]:
    """Return what is wrong with the file: the place of the first bad event, and the sentence."""
    with pytest.raises(NotValid) as told:
        verifier.verify(path, **more)
    return told.value.index, str(told.value)
