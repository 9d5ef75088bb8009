"""Proofs from the stored tree: a few tiles of 256 hashes are read, never the whole log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from jit.audit import log
from jit.audit.models import AuditCheckpoint, AuditLeaf, AuditNode
from jit.kernel.errors import NotFound

_CHUNK = 5_000


class NotSealedYet(NotFound):
    """The event has no place in the tree yet: the sealer comes by every second."""


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """The way from one leaf to the root of `checkpoint` (RFC 6962, 2.1.1), and what it covers."""

    seq: int
    index: int
    leaf: bytes
    path: tuple[bytes, ...]
    checkpoint: AuditCheckpoint


@dataclass
class StoredTree:
    """Reads hashes of complete subtrees, a tile at a time. Only nodes whose height is a
    multiple of `log.TILE` are stored; those between are folded from them.
    """

    _tiles: dict[tuple[int, int], dict[int, bytes]] = field(default_factory=dict)
    _folded: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def read(self, level: int, idx: int) -> bytes:
        """Return the hash of the subtree `(level, idx)`.

        Raises KeyError when leaves or nodes below it are missing from the tables.
        """
        if level % log.TILE == 0:
            return self._tile(level, idx >> log.TILE)[idx]
        found = self._folded.get((level, idx))
        if found is None:
            left, right = self.read(level - 1, 2 * idx), self.read(level - 1, 2 * idx + 1)
            found = self._folded[level, idx] = log.node_hash(left, right)
        return found

    def _tile(self, level: int, place: int) -> dict[int, bytes]:
        tile = self._tiles.get((level, place))
        if tile is None:
            edges = (place << log.TILE, (place + 1 << log.TILE) - 1)
            rows = (
                AuditLeaf.objects.filter(idx__range=edges).values_list("idx", "leaf")
                if level == 0
                else AuditNode.objects.filter(level=level, idx__range=edges).values_list(
                    "idx", "hash"
                )
            )
            tile = self._tiles[level, place] = {idx: bytes(found) for idx, found in rows}
        return tile


def latest_checkpoint() -> AuditCheckpoint | None:
    """Return the newest signed statement of the tree, or None before the first."""
    return AuditCheckpoint.objects.order_by("-id").first()


def checkpoints(*, first_id: int, last_id: int) -> Iterator[AuditCheckpoint]:
    """Yield the checkpoints from `first_id` to `last_id`, in the order of their making."""
    while rows := list(
        AuditCheckpoint.objects.filter(id__range=(first_id, last_id)).order_by("id")[:_CHUNK]
    ):
        yield from rows
        first_id = rows[-1].id + 1


def prove(*, seq: int, checkpoint: AuditCheckpoint) -> InclusionProof:
    """Return the inclusion proof of the event `seq` in the tree of `checkpoint`.

    Raises NotSealedYet when the checkpoint does not cover the event.
    """
    found = prove_all(seqs=[seq], checkpoint=checkpoint)
    if not found:
        raise NotSealedYet("This event is not sealed yet. Try again in a few seconds.")
    return found[0]


def prove_all(*, seqs: Sequence[int], checkpoint: AuditCheckpoint) -> list[InclusionProof]:
    """Return the proofs of those of `seqs` that the checkpoint covers, in the log's order.

    They share the tiles that are read.
    """
    read = StoredTree().read
    leaves = AuditLeaf.objects.filter(seq__in=seqs, idx__lt=checkpoint.size).order_by("idx")
    return [
        InclusionProof(
            seq=leaf.seq,
            index=leaf.idx,
            leaf=bytes(leaf.leaf),
            path=tuple(log.inclusion_proof(leaf.idx, checkpoint.size, read)),
            checkpoint=checkpoint,
        )
        for leaf in leaves
    ]
