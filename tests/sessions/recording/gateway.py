"""A gateway's recording part without its network: sessions are real rows, output is made up."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

from jit.elevation.models import Grant
from sessions.models import AccessSession
from sessions.recording.checkpoints import CheckpointSaver
from sessions.recording.models import Recording
from sessions.recording.recorder import Recorder
from sessions.recording.stores.base import Store
from sessions.recording.uploading import Uploader
from sessions.recording.writer import RecordingWriter
from tests.sessions import used
from tests.sessions.recording import support


class FakeGateway:
    """Records sessions; its companions move only when told, in the test's own transaction."""

    def __init__(self, root: Path, where: Store, world: Any) -> None:
        self.root = root
        self.where = where
        self.world = world
        self.grant: Grant = world.grant()
        self.failures: list[tuple[uuid.UUID, str]] = []
        self.start()

    def start(self) -> None:
        self.recorder = Recorder(self.root)
        self.heads = CheckpointSaver(self.recorder)
        self.uploader = Uploader(self.recorder, where=self.where)

    def stop(self) -> None:
        self.recorder.stop()

    def session(self, **more: Any) -> AccessSession:
        return used.opened(self.grant, **more)

    def tape(self, session: AccessSession) -> RecordingWriter:
        return self.recorder.open(
            session_id=session.pk,
            header=support.HEADER,
            on_failure=lambda session_id, why: self.failures.append((session_id, why)),
        )

    def record(self, *output: bytes, session: AccessSession | None = None) -> AccessSession:
        """Record a session with these outputs to its end, and close it."""
        session = session or self.session()
        tape = self.tape(session)
        for data in output:
            tape.output(data)
        asyncio.run(tape.close())
        return used.closed(session)

    def move(self) -> None:
        """Let the companions do what they do each second."""
        self.heads.save()
        self.uploader.turn()

    def die(self) -> None:
        """Leave everything as SIGKILL would: files as they are, the lock free, nothing told."""
        self.recorder.spool_writer.stop()
        self.recorder._stopped.set()
        import os

        os.close(self.recorder.spool._lock)
        for tape in self.recorder.writers.values():
            tape.give_up("killed")
            tape.release()


def recording(session: AccessSession) -> Recording:
    return Recording.objects.get(pk=session.pk)
