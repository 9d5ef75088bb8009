"""Where a recording lies in the store, and readings of it from there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import UUID

from sessions.recording.models import Recording
from sessions.recording.reading import Blob, Known, Reading
from sessions.recording.stores.base import Store, store

SUFFIX = ".pieces"


def name(session_id: UUID, first: int, last: int) -> str:
    """Return the name of the object that holds these pieces (the first also the preamble)."""
    return f"{session_id}/{first:08d}-{last:08d}{SUFFIX}"


def span(object_name: str) -> tuple[int, int]:
    """Return the first and last piece that an object's name says; (-1, -1) for another's file."""
    stem = object_name.rpartition("/")[2].removesuffix(SUFFIX)
    first, _, last = stem.partition("-")
    return (int(first), int(last)) if first.isdigit() and last.isdigit() else (-1, -1)


def objects(session_id: UUID, *, where: Store, from_piece: int = 0) -> list[str]:
    """Return the names of a recording's objects, in order, from the one with `from_piece` on."""
    found = [each for each in where.names(str(session_id)) if span(each)[0] >= 0]
    return [each for each in found if span(each)[1] >= from_piece]


def blobs(session_id: UUID, *, where: Store, from_piece: int = 0) -> Iterator[Blob]:
    for each in objects(session_id, where=where, from_piece=from_piece):
        yield each, partial(where.get, each)


def reading(recording: Recording, *, from_piece: int = 0, where: Store | None = None) -> Reading:
    """Return a reading of what the store has of `recording`, against what the books know of it.

    While a recording is live its last ten seconds are not in the store yet: `lost-tail`.
    """
    found = blobs(recording.session_id, where=where or store(), from_piece=from_piece)
    return Reading(known=_known(recording), blobs=found, from_piece=from_piece)


def reading_of_file(recording: Recording, path: Path) -> Reading:
    """Return a reading of a spool file."""
    return Reading(known=_known(recording), blobs=[(path.name, path.read_bytes)])


def _known(recording: Recording) -> Known:
    return Known(
        preamble=bytes(recording.preamble),
        pieces=recording.pieces,
        digest=recording.digest,
        failed=recording.failed,
    )
