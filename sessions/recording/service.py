"""What a gateway process starts to record with: the recorder and all that runs beside it."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from sessions.recording.checkpoints import CheckpointSaver
from sessions.recording.live import Broadcaster
from sessions.recording.recorder import Recorder
from sessions.recording.uploading import Uploader


def start(root: Path | None = None) -> Recorder:
    """Return a running recorder; `stop` it at the gateway's end, after its tapes are closed.

    Raises SpoolUnavailable when this machine can't keep a spool.
    """
    recorder = Recorder(root or settings.RECORDINGS_SPOOL)
    recorder.companions = [
        Broadcaster(recorder).start(),
        CheckpointSaver(recorder).start(),
        Uploader(recorder).start(),
    ]
    return recorder
