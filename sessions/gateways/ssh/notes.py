"""Where what passes through a session is written: facts, what was shown, what was fed."""

from __future__ import annotations

from sessions.gateways.interfaces import RecordingSink
from sessions.gateways.ssh.standard_input import StandardInput


class Notes:
    """A recording, and what is known of the program's standard input."""

    def __init__(self, recording: RecordingSink, fed: StandardInput) -> None:
        self._recording = recording
        self.mark = recording.mark
        self.fed = fed.take

    def shown(self, data: bytes) -> None:
        if data:
            self._recording.output(data)
