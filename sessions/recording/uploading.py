"""Brings recordings from the gateway's disk to the store, and finishes those of dead gateways.

Runs in the gateway's own process, since the spool is on its machine. Each recording is brought
away by itself, in short turns, those with least left to bring first: a big one keeps nobody's from
being sealed. One that won't go is tried again with longer and longer pauses, then set aside.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import connection

from jit.kernel import clock
from jit.kernel.crypto import SealBroken
from sessions.recording import abandoned, operations, spool, spool_reader, store_reader
from sessions.recording.models import Recording
from sessions.recording.problems import Kind, Problem
from sessions.recording.reading import Reading
from sessions.recording.recorder import Recorder
from sessions.recording.segments import Damaged
from sessions.recording.spool import Spool
from sessions.recording.stores.base import Store, StoreFailed, store

log = logging.getLogger(__name__)
EVERY = 1.0
OBJECT_SECONDS = 10.0
"""Seconds until what is recorded of a live session is in the store as well."""
LOOK_FOR_ABANDONED = 15.0
TURN_SECONDS = 0.5
"""How long one recording is worked at before the next one's turn, to the end of an object."""
TRIES = 8
LONGEST_PAUSE = 60.0
STOPS_WITHIN = 20.0


@dataclass(slots=True)
class Journey:
    """How far one recording has come on its way to the store."""

    spool: Spool
    offset: int = 0
    seq: int = 0
    keep: dt.datetime | None = None
    sent_at: float = 0.0
    tries: int = 0
    next_try: float = 0.0
    reading: Reading | None = None
    """Of what the store has, begun once all is there; `steps` goes on with it."""
    steps: Iterator[None] = field(default_factory=lambda: iter(()))


class Uploader:
    """The thread that does it, for its own recorder's spool and the abandoned ones beside it."""

    def __init__(
        self, recorder: Recorder, *, where: Store | None = None, every: float = EVERY
    ) -> None:
        self._recorder = recorder
        self._store = where or store()
        self._every = every
        self._journeys: dict[UUID, Journey] = {}
        self._adopted: list[Spool] = []
        self._looked_at = 0.0
        self._more = False
        """Whether the last turn ended with something left that could be done at once."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recording-upload", daemon=True)

    def start(self) -> Uploader:
        self._thread.start()
        return self

    def stop(self) -> None:
        """End after what is under way; what is left is for the next gateway on this machine."""
        self._stopping.set()
        self._thread.join(30)
        until = time.monotonic() + STOPS_WITHIN
        self.turn()
        while self._more and time.monotonic() < until:
            self.turn()
        for each in self._adopted:
            each.leave()

    def _run(self) -> None:
        while not self._stopping.wait(0 if self._more else self._every):
            try:
                self.turn()
            except DatabaseFailure as away:
                log.warning("recordings wait for the database: %s", away)
            except Exception:
                log.exception("the uploader stumbled; it goes on")
            finally:
                connection.close()

    def turn(self) -> None:
        """Give a turn to each recording that is due now, and note whether one needs another."""
        self._more = False
        self._adopt()
        for where in [self._recorder.spool, *self._adopted]:
            for session_id, journey in self._least_left_first(where):
                if journey.next_try > time.monotonic():
                    continue
                try:
                    self._more |= not self._bring(session_id, journey)
                except StoreFailed as failed:
                    self._failed(session_id, journey, failed)
                    if not failed.permanent:
                        break  # The store is away: the others would wait for it as long.
                except DatabaseFailure:
                    raise
                except (Damaged, SealBroken, OSError) as unreadable:
                    trouble = StoreFailed(f"the spool: {unreadable}", permanent=True)
                    self._failed(session_id, journey, trouble)
                except Exception as bug:  # one recording never keeps the others here
                    log.exception("the recording of session %s can't be brought away", session_id)
                    trouble = StoreFailed(f"{type(bug).__name__}: {bug}", permanent=True)
                    self._failed(session_id, journey, trouble)
        for where in [each for each in self._adopted if not each.recordings()]:
            self._adopted.remove(where)
            where.leave()

    def _least_left_first(self, where: Spool) -> list[tuple[UUID, Journey]]:
        journeys = [
            (session_id, self._journeys.setdefault(session_id, Journey(where)))
            for session_id in where.recordings()
        ]
        return sorted(journeys, key=lambda each: _left(where.path(each[0]), each[1]))

    def _adopt(self) -> None:
        if time.monotonic() < self._looked_at:
            return
        self._looked_at = time.monotonic() + LOOK_FOR_ABANDONED
        for found in spool.abandoned(self._recorder.spool.folder.parent):
            left = found.recordings()
            log.warning("%s was abandoned with %d recordings", found.folder, len(left))
            self._adopted.append(found)

    def _bring(self, session_id: UUID, journey: Journey) -> bool:
        """Do a turn's work; return False if it left something that could be done at once."""
        writer = self._recorder.writers.get(session_id)
        path = journey.spool.path(session_id)
        if writer is None:
            return self._complete(session_id, journey, path)
        if not writer.ended:
            waiting = writer.head.size - journey.offset
            old = time.monotonic() - journey.sent_at >= OBJECT_SECONDS
            if waiting >= spool_reader.OBJECT_BYTES or (old and writer.head.pieces > journey.seq):
                return self._send(session_id, journey, path, writer.head.size)
        return True  # If it ended, its last head is about to be written into the database.

    def _complete(self, session_id: UUID, journey: Journey, path: Path) -> bool:
        recording = self._row(session_id)
        if recording is None or not recording.final or recording.size != path.stat().st_size:
            abandoned.take_stock(session_id, path)
            recording = self._row(session_id)
        if recording is None:
            raise StoreFailed("the books know no such session", permanent=True)
        began = time.monotonic()
        if not self._send(session_id, journey, path, path.stat().st_size):
            return False
        if not self._read_back(recording, journey, until=began + TURN_SECONDS):
            return False
        self._finish(session_id, recording, journey, path)
        journey.spool.remove(session_id)
        del self._journeys[session_id]
        return True

    def _row(self, session_id: UUID) -> Recording | None:
        return Recording.objects.select_related("session__role").filter(pk=session_id).first()

    def _send(self, session_id: UUID, journey: Journey, path: Path, end: int) -> bool:
        """Send objects for the length of a turn; return whether all up to `end` are sent."""
        until = time.monotonic() + TURN_SECONDS
        if journey.keep is None:
            recording = self._row(session_id)
            if recording is None:
                return True  # Its head is not in the books yet.
            journey.keep = operations.keep_until(session=recording.session, now=clock.now())
            self._resume(session_id, journey, path)
        for first, last, start, stop in spool_reader.objects_in(path, journey.offset, end):
            with path.open("rb") as file:
                file.seek(start)
                content = file.read(stop - start)
            self._store.put(
                store_reader.name(session_id, first, last), content, keep_until=journey.keep
            )
            journey.offset, journey.seq = stop, last + 1
            journey.sent_at, journey.tries = time.monotonic(), 0
            if journey.sent_at > until and stop < end:
                return False
        return True

    def _resume(self, session_id: UUID, journey: Journey, path: Path) -> None:
        """Go on behind what the store has already, of before this gateway was started."""
        there = store_reader.objects(session_id, where=self._store)
        following = max((store_reader.span(each)[1] + 1 for each in there), default=0)
        if following:
            for offset, header in spool_reader.headers(path, 0, path.stat().st_size):
                if header.seq < following:
                    journey.offset, journey.seq = offset + header.size, header.seq + 1

    def _read_back(self, recording: Recording, journey: Journey, *, until: float) -> bool:
        """Read what the store has now, until then; return whether all of it is read."""
        if journey.reading is None:
            journey.reading = store_reader.reading(recording, where=self._store)
            journey.steps = journey.reading.steps()
        return all(time.monotonic() <= until for _ in journey.steps)

    def _finish(self, session_id: UUID, recording: Recording, journey: Journey, path: Path) -> None:
        """Write down how it is, as it was read back from the store. What is wrong there and not
        here is no property of the recording: the spool is kept.
        """
        now = clock.now()
        problems = journey.reading.problems if journey.reading else []
        journey.reading = None  # Another try reads anew.
        if problems:
            here = store_reader.reading_of_file(recording, path).finish()
            unlike = [each for each in problems if _place(each) not in map(_place, here)]
            if unlike:
                raise StoreFailed(
                    f"the store does not hold what was sent: {unlike[0].sentence}",
                    permanent=unlike[0].kind is not Kind.UNREADABLE,
                )
        keep = operations.keep_until(session=recording.session, now=now)
        operations.stored(session_id=session_id, problems=problems, keep=keep, now=now)

    def _failed(self, session_id: UUID, journey: Journey, failed: StoreFailed) -> None:
        journey.tries += 1
        journey.reading = None
        pause = min(LONGEST_PAUSE, 2.0 ** min(journey.tries, 10))
        journey.next_try = time.monotonic() + pause
        log.error(
            "the recording of session %s is not in the store yet (try %d): %s",
            session_id, journey.tries, failed,
            extra={"session_id": str(session_id)},
        )  # fmt: skip
        # A store that is away comes back; what it refuses for good would be refused again.
        if failed.permanent and journey.tries >= TRIES:
            aside = journey.spool.set_aside(session_id)
            operations.set_aside(
                session_id=session_id, why=f"{failed}; it lies at {aside}", now=clock.now()
            )
            del self._journeys[session_id]


def _left(path: Path, journey: Journey) -> int:
    """Return how many bytes of a spool's file are not in the store yet."""
    try:
        return path.stat().st_size - journey.offset
    except OSError:
        return 0  # It is told where its turn comes.


def _place(problem: Problem) -> tuple[Kind, int | None, int | None]:
    return problem.kind, problem.first, problem.last
