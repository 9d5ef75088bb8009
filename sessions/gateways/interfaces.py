"""What a gateway of any kind gives its supervisor and its recorder to work with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sessions.states import ClosedBecause


class LiveSession(Protocol):
    """A session that runs in this process. `end` returns once the remote end is dead and the
    person's line is closing; `abort` closes both lines at once, where `end` did not return.
    """

    async def warn(self, sentence: str) -> None: ...

    async def end(self, because: ClosedBecause, sentence: str) -> None: ...

    def abort(self) -> None: ...


class RecordingSink(Protocol):
    """One session's recording."""

    def output(self, data: bytes, *, errors: bool = False) -> None: ...
    def mark(self, fact: Mapping[str, Any]) -> None: ...
    async def room(self) -> None: ...
    @property
    def failed(self) -> str: ...
