"""The gateway's side of watching: lines of those sessions, and only those, that somebody watches.

A watcher asks on one channel that all gateways hear. The one that records the session answers on
the watcher's own channel with a snapshot, and sends the session's lines on the session's channel
for as long as the broker says that somebody takes them.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any
from uuid import UUID

import redis
from django.conf import settings

from sessions.recording import asciicast, screen, spool_reader
from sessions.recording.recorder import Recorder
from sessions.recording.writer import RecordingWriter

log = logging.getLogger(__name__)
ASK = "jit.sessions.watch"
EVERY = 0.1
"""Seconds between two batches of lines of a watched session."""
STILL = 2.0
"""Seconds after which a watched session that shows nothing says that it lives."""
LONGEST_BATCH = 1024 * 1024
"""Bytes of lines a watcher is sent at once; beyond that it is given a new snapshot instead."""
_IDLE = 1.0
_AGAIN_AFTER = 1.0
_FLUSHED = 2.0


def lines_channel(session_id: UUID) -> str:
    return f"jit.sessions.watch.lines.{session_id}"


def snapshot_channel(watcher: str) -> str:
    return f"jit.sessions.watch.snapshot.{watcher}"


class Broadcaster:
    """The thread that answers watchers; without any it sleeps."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._watched: dict[UUID, tuple[RecordingWriter, float]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recording-live", daemon=True)

    def start(self) -> Broadcaster:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with redis.Redis.from_url(
                    settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=3
                ) as client:
                    self._serve(client)
            except (redis.RedisError, OSError) as away:
                self._watch_none()
                log.warning("nobody can watch sessions now: %s", away)
            except Exception:
                self._watch_none()
                log.exception("the broadcaster stumbled; watchers ask again")
            self._stopping.wait(_AGAIN_AFTER)

    def _serve(self, client: redis.Redis) -> None:
        with client.pubsub(ignore_subscribe_messages=True) as line:  # type: ignore[no-untyped-call]
            line.subscribe(ASK)
            while not self._stopping.is_set():
                message = line.get_message(timeout=EVERY if self._watched else _IDLE)
                while message is not None:
                    self._asked(client, message["data"])
                    message = line.get_message(timeout=0)
                for session_id in list(self._watched):
                    self._send(client, session_id)
            for session_id in list(self._watched):
                self._send(client, session_id)

    def _asked(self, client: redis.Redis, data: bytes) -> None:
        try:
            asked = json.loads(data)
            session_id, watcher = UUID(asked["session"]), str(asked["watcher"])
        except (ValueError, KeyError, TypeError):
            log.warning("somebody asked to watch in words we don't know")
            return
        writer = self._recorder.writers.get(session_id)
        if writer is None or writer.ended:
            return
        writer.watch()
        self._watched.setdefault(session_id, (writer, time.monotonic()))
        client.publish(snapshot_channel(watcher), asciicast.compact(self._snapshot(writer)))

    def _snapshot(self, writer: RecordingWriter) -> dict[str, Any]:
        """Return the snapshot of all there is, with the number of the first line after it."""
        writer.flush()
        wanted, end = writer.line_count(), time.monotonic() + _FLUSHED
        while writer.head.lines < wanted and not writer.ended and time.monotonic() < end:
            self._stopping.wait(0.01)
        head = writer.head
        path = self._recorder.spool.path(writer.session_id)
        seen = screen.snapshot(spool_reader.backwards(writer.session_id, path, head.size))
        return {
            "next": head.lines,
            "header": writer.header,
            "text": seen.text,
            "exact": seen.exact,
            "at": head.last,
        }

    def _send(self, client: redis.Redis, session_id: UUID) -> None:
        writer, last = self._watched[session_id]
        ended = writer.ended
        first, lines = writer.watched_lines()
        now = time.monotonic()
        if not lines and not ended and now - last < STILL:
            return
        size = sum(map(len, lines))
        batch: dict[str, Any] = {"first": first + (len(lines) if size > LONGEST_BATCH else 0)}
        batch["lines"] = [] if size > LONGEST_BATCH else [line.decode() for line in lines]
        if ended:
            batch["ended"] = True
        takers = client.publish(lines_channel(session_id), asciicast.compact(batch))
        self._watched[session_id] = (writer, now)
        if ended or not takers:
            writer.unwatch()
            del self._watched[session_id]

    def _watch_none(self) -> None:
        for writer, _ in self._watched.values():
            writer.unwatch()
        self._watched = {}
