"""The Merkle tree of RFC 6962, as pure functions: what a sealer appends and a prover reads.

Hashes, the frontier and the checks of proofs stand in `verifier`, which must be one file; here
is the other half, that makes proofs. A subtree is named by `(level, idx)`: it is complete and
covers the 2^level leaves from `idx << level`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jit.audit.verifier import Frontier, leaf_hash, node_hash

__all__ = ["TILE", "Frontier", "consistency_proof", "inclusion_proof", "leaf_hash", "node_hash"]

TILE = 8
"""Only the roots of subtrees of 2^8, 2^16, … leaves are stored; a proof folds what is between."""

type Subtree = tuple[int, int]
type Reader = Callable[[int, int], bytes]
"""Return the hash of the complete subtree `(level, idx)`; level 0 are the leaves."""


def completed(index: int, leaf: bytes, peaks: list[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Yield `(level, idx, hash)` of each stored subtree that the leaf at `index` completes.

    `peaks` is the frontier before the leaf is appended; it is only read.
    """
    level, left = 0, len(peaks)
    while index & 1:
        left -= 1
        leaf = node_hash(peaks[left], leaf)
        index >>= 1
        level += 1
        if level % TILE == 0:
            yield level, index, leaf


def subtrees(start: int, end: int) -> list[Subtree]:
    """Return the complete subtrees that make up leaves `[start, end)`, left to right.

    `start` must be aligned as the left edges are that proofs ask for (RFC 6962, section 2.1).
    """
    found: list[Subtree] = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


def range_hash(start: int, end: int, read: Reader) -> bytes:
    """Return MTH(D[start:end]), folding the complete subtrees from the right."""
    hashes = [read(level, idx) for level, idx in subtrees(start, end)]
    found = hashes.pop()
    while hashes:
        found = node_hash(hashes.pop(), found)
    return found


def inclusion_proof(index: int, size: int, read: Reader) -> list[bytes]:
    """Return the path of the leaf at `index` in the tree of `size` (RFC 6962, 2.1.1).

    Raises ValueError when the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    start, end = 0, size
    ranges: list[tuple[int, int]] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return [range_hash(*edges, read) for edges in reversed(ranges)]


def consistency_proof(first: int, second: int, read: Reader) -> list[bytes]:
    """Return the proof that the tree of `first` begins the tree of `second` (RFC 6962, 2.1.2).

    Raises ValueError unless 0 <= first <= second.
    """
    if not 0 <= first <= second:
        raise ValueError(f"a tree of {first} can't begin one of {second}")
    if first in {0, second}:
        return []
    start, end, known = 0, second, True
    ranges: list[tuple[int, int]] = []
    while end != first:
        middle = start + _split(end - start)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, known = middle, False
    if not known:
        ranges.append((start, end))
    return [range_hash(*edges, read) for edges in reversed(ranges)]


def _split(width: int) -> int:
    """Return the largest power of two smaller than `width`."""
    return 1 << (width - 1).bit_length() - 1
