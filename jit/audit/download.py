"""An export handed to somebody at the audit page: made, put on the record, and given."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from django.db import transaction

from jit.audit import evidence, exporting, operations, proofs, queries
from jit.audit import verifier as program
from jit.audit.events import Subject
from jit.kernel.actor import Actor
from jit.kernel.errors import InvalidInput, NotFound

MOST_WHOLE = 500_000
MOST_FOUND = 5_000
_SPOOLED = 16 << 20
_PIECE = 256 * 1024


class ExportTooLarge(InvalidInput):
    """A browser is not the way to take so much out."""


def whole(*, actor: Actor, now: dt.datetime) -> IO[bytes]:
    """Return the archive of the whole sealed log, as `manage.py audit_export` writes it.

    Raises NotFound when nothing is sealed yet, and ExportTooLarge.
    """
    last = proofs.latest_checkpoint()
    if last is not None and last.size > MOST_WHOLE:
        raise ExportTooLarge(
            f"The log has {last.size} events, too many for a browser: run `manage.py audit_export` "
            "on the server, or search first and export what was found."
        )
    out = tempfile.SpooledTemporaryFile(max_size=_SPOOLED)  # noqa: SIM115 -- whoever sends it closes it
    try:
        last = exporting.export(out=out, now=now)
        _note(body={"since": 0, "size": last.size}, actor=actor, now=now)
    except BaseException:
        out.close()
        raise
    out.seek(0)
    return out


def pieces(archive: IO[bytes]) -> Iterator[bytes]:
    """Yield the archive piece by piece and close it."""
    with archive:
        while piece := archive.read(_PIECE):
            yield piece


def verifier() -> bytes:
    """Return the one-file program that checks what is handed out here."""
    return Path(program.__file__).read_bytes()


def found(
    *, reader: queries.Reader, filters: queries.Filters, actor: Actor, now: dt.datetime
) -> bytes:
    """Return the events that match and that `reader` may see, each with the proof of its place,
    as JSON that the verifier checks. Raises NotFound, ExportTooLarge, SearchTooWide.
    """
    seqs = queries.seqs_of(
        queries.filtered(queries.events_visible_to(reader), filters), most=MOST_FOUND + 1
    )
    if not seqs:
        raise NotFound("No event matches, so there is nothing to export.")
    if len(seqs) > MOST_FOUND:
        raise ExportTooLarge(
            f"More than {MOST_FOUND} events match: narrow the search, or export the whole log."
        )
    pack = evidence.evidence_of_events(seqs, now=now)
    _note(body={"events": len(pack["events"]), "filters": filters.named()}, actor=actor, now=now)
    return json.dumps(pack, ensure_ascii=False).encode()


def _note(*, body: dict[str, object], actor: Actor, now: dt.datetime) -> None:
    with transaction.atomic():
        operations.record(
            action="audit.exported",
            actor=actor,
            now=now,
            subject=Subject(type="audit", id="log", label="audit log"),
            body=body,
        )
