"""Brings the heads of a gateway's recordings into the database, so that a cut-off tail shows."""

from __future__ import annotations

import logging
import threading
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import connection

from jit.kernel import clock
from sessions.recording import operations
from sessions.recording.recorder import Recorder
from sessions.recording.writer import RecordingCheckpoint

log = logging.getLogger(__name__)
EVERY = 1.0
"""Seconds between two looks; a head is never older than twice that while the database answers."""


class CheckpointSaver:
    """A thread that writes what has changed, for all writers of the process in one statement."""

    def __init__(self, recorder: Recorder, *, every: float = EVERY) -> None:
        self._recorder = recorder
        self._every = every
        self._saved: dict[UUID, tuple[RecordingCheckpoint, str]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recording-heads", daemon=True)

    def start(self) -> CheckpointSaver:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def save(self) -> int:
        """Write the heads that have changed; return how many. Raises Django's database errors."""
        writers = list(self._recorder.writers.values())
        rows, ended = [], []
        for writer in writers:
            over = writer.ended
            state = (writer.head, writer.failed)
            if over:
                ended.append(writer.session_id)
            if self._saved.get(writer.session_id) != state:
                rows.append(operations.Row(writer.session_id, writer.preamble, *state))
        if rows:
            operations.save_heads(rows=rows, now=clock.now())
            self._saved |= {row.session_id: (row.head, row.failed) for row in rows}
        for session_id in ended:
            self._saved.pop(session_id, None)
            self._recorder.forget(session_id)
        return len(rows)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._stopping.wait(self._every)
            try:
                self.save()
            except DatabaseFailure as away:
                log.warning("the heads of recordings wait for the database: %s", away)
            except Exception:
                log.exception("the heads of recordings could not be written")
            finally:
                connection.close()
