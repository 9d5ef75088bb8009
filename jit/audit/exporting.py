"""An export that others check without us: events, leaves, checkpoints and proofs in one archive."""

from __future__ import annotations

import base64
import datetime as dt
import json
import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO

from django.db import connection

from jit.audit import log, proofs, queries
from jit.audit.models import AuditCheckpoint
from jit.audit.proofs import StoredTree
from jit.audit.verifier import EXPORT
from jit.kernel import clock
from jit.kernel.errors import NotFound

_CHUNK = 5_000
_SPOOLED = 32 << 20
_README = """An export of the audit log. Check it with the verifier, which is one file:

    python verifier.py THIS-FILE --key VKEY

Compare the key with the one you were given on another way. Keep the newest checkpoint (the last
line of checkpoints.jsonl): passed as --kept next time, it proves that nothing was changed since.

events.jsonl       the events as they were sealed, a line each (RFC 8785 canonical JSON)
leaves.bin         their RFC 6962 leaf hashes, 32 bytes each
checkpoints.jsonl  the signed checkpoints over them (c2sp.org/tlog-checkpoint)
keys.txt           the verifier keys that signed them (c2sp.org/signed-note)
frontier.bin       the complete subtrees of the log as it was at the export's start
consistency.json   the RFC 6962 proof that the log then begins the log now
"""


def export(*, out: IO[bytes], since: int = 0, now: dt.datetime) -> AuditCheckpoint:
    """Write the sealed events from place `since` on as an archive to `out`; return up to where.

    `since` is 0 or the size of a checkpoint: that of the last export. Reads and writes in
    chunks, so that memory stays flat. Raises NotFound when nothing is sealed yet, or when
    there is no checkpoint of that size.
    """
    last = proofs.latest_checkpoint()
    if last is None:
        raise NotFound("Nothing is sealed yet: there is nothing to export.")
    first = queries.checkpoint_of_size(since) if since else None
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        archive.writestr("README.txt", _README)
        manifest = {
            "format": EXPORT,
            "origin": last.note.partition("\n")[0],
            "since": since,
            "size": last.size,
            "exported_at": clock.rfc3339(now),
        }
        archive.writestr("manifest.json", json.dumps(manifest, indent=2))
        keys = _write_checkpoints(archive, first, last)
        archive.writestr("keys.txt", "".join(f"{key}\n" for key in keys))
        if first is not None:
            archive.writestr("frontier.bin", bytes(first.frontier))
            archive.writestr("consistency.json", _consistency(since, last.size))
        _write_events(archive, since, last.size)
    return last


def _write_checkpoints(
    archive: zipfile.ZipFile, first: AuditCheckpoint | None, last: AuditCheckpoint
) -> list[str]:
    keys: dict[str, None] = {}
    with archive.open("checkpoints.jsonl", "w") as stream:
        for checkpoint in proofs.checkpoints(first_id=first.id if first else 0, last_id=last.id):
            keys[checkpoint.vkey] = None
            stream.write(json.dumps({"note": checkpoint.note}, ensure_ascii=False).encode() + b"\n")
    return list(keys)


def _consistency(since: int, size: int) -> str:
    steps = log.consistency_proof(since, size, StoredTree().read)
    proof = [base64.b64encode(step).decode() for step in steps]
    return json.dumps({"first": since, "second": size, "proof": proof})


def _write_events(archive: zipfile.ZipFile, since: int, size: int) -> None:
    # An archive takes one member at a time, so the leaves wait beside it.
    with tempfile.SpooledTemporaryFile(max_size=_SPOOLED) as leaves:
        with archive.open("events.jsonl", "w", force_zip64=True) as stream:
            for bodies, hashes in _chunks(since, size):
                stream.write(bodies)
                leaves.write(hashes)
        leaves.seek(0)
        with archive.open("leaves.bin", "w", force_zip64=True) as stream:
            while piece := leaves.read(1 << 20):
                stream.write(piece)


def _chunks(since: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield bodies (a line each) and leaf hashes, in the order of sealing.

    An event that is gone leaves an empty line, so that the verifier names it.
    """
    start = since
    while start < size:
        end = min(start + _CHUNK, size)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(e.body, ''), l.leaf FROM audit_leaf l "
                "LEFT JOIN audit_event e ON e.seq = l.seq "
                "WHERE l.idx >= %s AND l.idx < %s ORDER BY l.idx",
                [start, end],
            )
            rows = cursor.fetchall()
        yield (
            b"".join(bytes(body) + b"\n" for body, _ in rows),
            b"".join(bytes(leaf) for _, leaf in rows),
        )
        start = end
