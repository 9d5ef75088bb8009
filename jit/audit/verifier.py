"""Check an export or an evidence pack of the audit log, without the installation it came from.

    python verifier.py FILE [--key VKEY]... [--kept CHECKPOINT]

needs this one file, Python 3.12 or later and the `cryptography` package. It prints "valid", or the
first event that is not what was sealed. Exit status: 0 valid, 1 not valid, 2 not readable.

What it relies on: SHA-256, the Merkle tree of RFC 6962 (section 2.1; proofs as in RFC 9162,
sections 2.1.3 and 2.1.4), signed notes and checkpoints as in c2sp.org/signed-note and
c2sp.org/tlog-checkpoint, signed by Ed25519. The public key must reach you on another way than
the file: compare it with the one you were given, or pass that with --key. A checkpoint that
you kept from an earlier visit, passed with --kept, proves that nothing sealed by then was changed.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

EXPORT = "jit-audit-export/1"
EVIDENCE = "jit-audit-evidence/1"
EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH = 32
_CHUNK = 1 << 20
_ED25519 = b"\x01"
_BROKEN = (
    *(KeyError, TypeError, ValueError, AttributeError),  # JSON of another shape
    *(OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error),  # a damaged archive
)


class NotValid(Exception):
    """What was sealed and what lies here differ; the sentence says where. `index` is the
    first bad event's place in the log, where one can be named.
    """

    def __init__(self, sentence: str, index: int | None = None) -> None:
        super().__init__(sentence)
        self.index = index


class NotReadable(Exception):
    """The file is no export or evidence pack of this format."""


# --- RFC 6962: hashes and the growing tree ----------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256 of 0x00 and the entry (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass
class Frontier:
    """A tree that grows: its size, and the roots of its complete subtrees, largest first."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.peaks) != self.size.bit_count():
            raise NotValid(f"a tree of {self.size} has {self.size.bit_count()} complete subtrees")

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        peaks, odd = self.peaks, self.size
        while odd & 1:
            leaf = hashlib.sha256(b"\x01" + peaks.pop() + leaf).digest()
            odd >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the tree's hash (of the empty string for an empty tree)."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


# --- RFC 9162: proofs -----------------------------------------------------------------------


def inclusion_holds(
    *, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """Return whether `proof` shows the leaf at `index` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            found = node_hash(found, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and found == root


def consistency_holds(
    *, first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> bool:
    """Return whether the first tree is the beginning of the second (RFC 9162, 2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place >>= 1
        last >>= 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            after = node_hash(after, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and before == first_root and after == second_root


# --- C2SP: keys, signed notes, checkpoints ---------------------------------------------------


def key_id(name: str, public: bytes) -> bytes:
    """Return the four bytes that name an Ed25519 key in a signed note."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


@dataclass(frozen=True)
class Key:
    """A verifier key: `<name>+<id in hex>+<base64 of 0x01 and 32 bytes>`."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Key:
        """Return the key that a line holds, or raise NotReadable."""
        name, _, rest = vkey.strip().partition("+")
        identity, _, encoded = rest.partition("+")
        material = _decoded(encoded)
        key = cls(name, material[1:])
        if material[:1] != _ED25519 or len(key.public) != HASH or key.id.hex() != identity:
            raise NotReadable(f"not an Ed25519 verifier key: {vkey.strip()!r}")
        return key

    @property
    def id(self) -> bytes:
        return key_id(self.name, self.public)

    def __str__(self) -> str:
        encoded = base64.b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"


@dataclass(frozen=True)
class Checkpoint:
    """What a signed note says of the log: its origin, size and root; `more` are further lines."""

    origin: str
    size: int
    root: bytes
    more: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.more)
        return "".join(f"{line}\n" for line in lines)


def opened(note: str, keys: Sequence[Key]) -> Checkpoint:
    """Return the checkpoint that a note holds, once one of `keys` is seen to have signed it.

    Raises NotValid for a note that none of them signed, NotReadable for what is no checkpoint.
    """
    text, blank, signatures = note.rpartition("\n\n")
    text += "\n"
    lines = text.split("\n")[:-1]
    if not blank or len(lines) < 3 or not lines[1].isdecimal():  # noqa: PLR2004 -- origin, size, root
        raise NotReadable("not a checkpoint: origin, size, root and a signature are expected")
    checkpoint = Checkpoint(lines[0], int(lines[1]), _decoded(lines[2]), tuple(lines[3:]))
    if checkpoint.text != text or len(checkpoint.root) != HASH:
        raise NotReadable("not a checkpoint: its lines are not in their one right form")
    for line in signatures.splitlines():
        mark, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        signature = _decoded(encoded)
        for key in keys:
            if (mark, name, signature[:4]) == ("—", key.name, key.id):
                _must_be_signed(key, signature[4:], text, checkpoint.size)
                return checkpoint
    raise NotValid(f"the checkpoint of {checkpoint.size} is not signed by a known key")


def _must_be_signed(key: Key, signature: bytes, text: str, size: int) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except InvalidSignature:
        raise NotValid(f"the signature of the checkpoint of {size} is wrong") from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotReadable(f"not base64: {text[:60]!r}") from None


# --- The file -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What was found valid: how many events, up to which checkpoint, under which keys."""

    events: int
    checkpoint: Checkpoint
    keys: tuple[Key, ...]
    keys_were_given: bool
    about: str


def verify(path: str | Path, *, keys: Sequence[Key] = (), kept: str | None = None) -> Report:
    """Check the file and return what was found valid.

    Raises NotValid with the first bad event, and NotReadable. `keys` are the ones to trust;
    without them the file's own are used, and whoever reads the report must compare them.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _Export(archive, keys, kept).verify()
        return _verify_evidence(json.loads(Path(path).read_bytes()), keys, kept)
    except _BROKEN as broken:
        raise NotReadable(f"{type(broken).__name__}: {broken}") from broken


class _Export:
    """An archive of events, leaves and checkpoints from `since` to `size`."""

    def __init__(
        self, archive: zipfile.ZipFile, given: Sequence[Key], kept: str | None = None
    ) -> None:
        self.archive = archive
        manifest = self._json("manifest.json")
        if manifest["format"] != EXPORT:
            raise NotReadable(f"format {manifest['format']!r} is not {EXPORT!r}")
        self.since, self.size = int(manifest["since"]), int(manifest["size"])
        own = archive.read("keys.txt").decode().splitlines()
        self.given = bool(given)
        self.keys = tuple(given) or tuple(Key.parse(line) for line in own)
        self.checkpoints = [
            opened(json.loads(line)["note"], self.keys)
            for line in archive.read("checkpoints.jsonl").splitlines()
        ]
        self.kept = kept
        self.leaves = archive.read("leaves.bin")

    def _json(self, name: str) -> Any:
        return json.loads(self.archive.read(name))

    def verify(self) -> Report:
        if not self.checkpoints or self.checkpoints[-1].size != self.size:
            raise NotValid(f"the checkpoint of the whole export (size {self.size}) is missing")
        if self.kept is not None:
            self._insert(opened(self.kept, self.keys))
        frontier = self._start()
        count, signed = 0, 0
        with self.archive.open("events.jsonl") as stream:
            lines = _lines(stream)
            for checkpoint in self.checkpoints:
                if checkpoint.size < self.since or checkpoint.size < frontier.size:
                    raise NotValid(f"the checkpoint of {checkpoint.size} is out of order")
                missing = self._grow(frontier, lines, checkpoint.size)
                if missing is not None:
                    raise NotValid(f"event {missing} is missing: the file ends there", missing)
                if frontier.root() != checkpoint.root:
                    raise self._wrong_root(signed, checkpoint)
                signed = checkpoint.size
            count = frontier.size - self.since
            if next(lines, None) is not None:
                raise NotValid(
                    f"event {frontier.size} was added: no checkpoint covers it", frontier.size
                )
        if len(self.leaves) != count * HASH:
            raise NotValid(f"{len(self.leaves) // HASH} leaves stand beside {count} events")
        self._check_consistency()
        return Report(
            events=count,
            checkpoint=self.checkpoints[-1],
            keys=self.keys,
            keys_were_given=self.given,
            about=f"events {self.since} to {self.size}",
        )

    def _start(self) -> Frontier:
        """Return the tree at `since`, seen to be the one that was signed then."""
        if self.since == 0:
            return Frontier()
        packed = self.archive.read("frontier.bin")
        peaks = [packed[at : at + HASH] for at in range(0, len(packed), HASH)]
        frontier = Frontier(self.since, peaks)
        first = self.checkpoints[0]
        if first.size != self.since or frontier.root() != first.root:
            raise NotValid(f"the export does not start at the signed tree of {self.since}")
        return frontier

    def _grow(self, frontier: Frontier, lines: Iterator[bytes], size: int) -> int | None:
        """Add events up to `size`; return the index of the first that is not there."""
        leaves, since, append = self.leaves, self.since, frontier.append
        sha256 = hashlib.sha256
        for index in range(frontier.size, size):
            line = next(lines, None)
            if line is None:
                return index
            leaf = sha256(b"\x00" + line).digest()
            at = (index - since) * HASH
            if leaf != leaves[at : at + HASH]:
                raise self._wrong_leaf(index, line, leaf)
            append(leaf)
        return None

    def _wrong_leaf(self, index: int, line: bytes, leaf: bytes) -> NotValid:
        at = (index - self.since) * HASH
        if at >= len(self.leaves):
            return NotValid(f"event {index} has no leaf: the leaves end there", index)
        found = self.leaves.find(leaf)
        while found != -1 and found % HASH:
            found = self.leaves.find(leaf, found + 1)
        if not line or found == at + HASH:
            what = "is missing"
        elif found != -1:
            what = f"is out of order (event {found // HASH + self.since} stands in its place)"
        else:
            what = "was altered, or put in"
        return NotValid(f"event {index} {what}" + (f": {_title(line)}" if line else ""), index)

    def _wrong_root(self, signed: int, checkpoint: Checkpoint) -> NotValid:
        start = max(signed, self.since)
        index = start if checkpoint.size == start + 1 else None
        return NotValid(
            f"events {start} to {checkpoint.size - 1} are not those of the signed checkpoint "
            f"of {checkpoint.size}: an event and its leaf were changed together",
            index,
        )

    def _insert(self, kept: Checkpoint) -> None:
        if not self.since <= kept.size <= self.size:
            raise NotReadable(
                f"the kept checkpoint is of {kept.size}; this export covers {self.since} to "
                f"{self.size}. Ask for one with --since {kept.size}."
            )
        self.checkpoints.append(kept)
        self.checkpoints.sort(key=lambda checkpoint: checkpoint.size)

    def _check_consistency(self) -> None:
        if self.since == 0:
            return
        told = self._json("consistency.json")
        if (told["first"], told["second"]) != (self.since, self.size) or not consistency_holds(
            first=self.since,
            second=self.size,
            proof=[_decoded(step) for step in told["proof"]],
            first_root=self.checkpoints[0].root,
            second_root=self.checkpoints[-1].root,
        ):
            raise NotValid("the consistency proof does not hold")


def _verify_evidence(pack: Any, given: Sequence[Key], kept: str | None) -> Report:
    if pack["format"] != EVIDENCE:
        raise NotReadable(f"format {pack['format']!r} is not {EVIDENCE!r}")
    keys = tuple(given) or (Key.parse(pack["key"]),)
    checkpoint = opened(pack["checkpoint"], keys)
    if kept is not None and opened(kept, keys) != checkpoint:
        raise NotReadable("an evidence pack can only be compared with its own checkpoint")
    last = -1
    for entry in pack["events"]:
        index, line = int(entry["index"]), entry["event"].encode()
        holds = inclusion_holds(
            index=index,
            size=checkpoint.size,
            leaf=leaf_hash(line),
            proof=[_decoded(step) for step in entry["proof"]],
            root=checkpoint.root,
        )
        if not holds:
            raise NotValid(f"event {index} is not the one that was sealed: {_title(line)}", index)
        if index <= last:
            raise NotValid(f"event {index} is out of order", index)
        last = index
    return Report(
        events=len(pack["events"]),
        checkpoint=checkpoint,
        keys=keys,
        keys_were_given=bool(given),
        about="evidence of " + ("a search" if pack.get("of") == "a search" else "one request"),
    )


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _title(line: bytes) -> str:
    try:
        event = json.loads(line)
        return f"{event['at']} {event['actor']['name']} {event['action']} ({event['id']})"
    except (ValueError, KeyError, TypeError):
        return repr(line[:80])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Check an export or evidence pack of the audit log."
    )
    parser.add_argument("file")
    parser.add_argument("--key", action="append", default=[], help="a verifier key to trust")
    parser.add_argument("--kept", help="file of a checkpoint kept from an earlier visit")
    options = parser.parse_args(arguments)
    out = sys.stdout.write
    try:
        kept = Path(options.kept).read_text(encoding="utf-8") if options.kept else None
        keys = [Key.parse(text) for text in options.key]
        report = verify(options.file, keys=keys, kept=kept)
    except NotValid as bad:
        out(f"NOT VALID: {bad}\n")
        return 1
    except (NotReadable, OSError) as unreadable:
        out(f"not readable: {unreadable}\n")
        return 2
    out(f"valid: {report.events} events ({report.about})\n")
    out(f"checkpoint: size {report.checkpoint.size}, {report.checkpoint.origin}")
    out("".join(f", {line}" for line in report.checkpoint.more) + "\n")
    for key in report.keys:
        out(f"key: {key}\n")
    if not report.keys_were_given:
        out("The key came with the file: compare it with the one you were given, or use --key.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
