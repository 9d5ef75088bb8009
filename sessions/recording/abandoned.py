"""Takes stock of a spool file whose gateway died: what is good of it, and how far it goes."""

from __future__ import annotations

import logging
import mmap
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from jit.kernel import clock
from sessions.recording import keys, operations
from sessions.recording.segments import Bytes, Damage, FoundSegment, Opener, Preamble, scan
from sessions.recording.writer import RecordingCheckpoint

log = logging.getLogger(__name__)


def take_stock(session_id: UUID, path: Path) -> None:
    """Leave only whole pieces in the file and write the head of what is left into the database.

    Raises Damaged for a file without its preamble, SealBroken for one that was sealed under
    another key, and OSError. A torn end is cut off; damage before it is left out too, shows as
    a gap, and the file as it was is kept beside the spools.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        preamble, start = Preamble.decode(data)
        key = keys.unwrap(preamble.wrapped_key, session_id=session_id)
        opener = Opener(key=key, preamble=preamble)
        found = list(scan(data, opener, start))
        whole = [each for each in found if isinstance(each, FoundSegment)]
        lines = sum(opener.open(each.header, each.bytes_in(data)).count(b"\n") for each in whole)
        damage = [each for each in found if isinstance(each, Damage)]
        for each in damage:
            log.error("%s: %d bytes at %d are damaged", path, each.size, each.offset)
        if damage and damage[0].offset < _end(start, whole):
            _rewrite(path, data, start, whole)
    size = start + sum(each.header.size for each in whole)
    if size != path.stat().st_size:
        os.truncate(path, size)
    last = whole[-1] if whole else None
    head = RecordingCheckpoint(
        pieces=last.header.seq + 1 if last else 0,
        size=size,
        digest=last.digest if last else preamble.digest(),
        lines=lines,
        last=last.header.last if last else 0,
        final=last.header.final if last else False,
    )
    operations.recovered(row=operations.Row(session_id, preamble.encode(), head), now=clock.now())


def _end(start: int, whole: Sequence[FoundSegment]) -> int:
    return whole[-1].offset + whole[-1].header.size if whole else start


def _rewrite(path: Path, data: Bytes, start: int, whole: Sequence[FoundSegment]) -> None:
    aside = path.parent.parent / "set-aside"
    aside.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(path, aside / f"{path.name}.damaged")
    fresh = path.with_suffix(".fresh")
    with fresh.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data[:start])
        for each in whole:
            file.write(each.bytes_in(data))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
