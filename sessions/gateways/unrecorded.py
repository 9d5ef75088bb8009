"""A recording that keeps nothing, for sessions whose policy goes on without a recorder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Unrecorded:
    """Takes what a `RecordingWriter` takes. A session that has one says so in its first event."""

    failed = ""

    def output(self, data: bytes, *, errors: bool = False) -> None: ...

    def input(self, data: bytes) -> None: ...

    def resize(self, columns: int, rows: int) -> None: ...

    def mark(self, fact: Mapping[str, Any]) -> None: ...

    def exit(self, status: int) -> None: ...

    async def room(self) -> None: ...

    async def close(self) -> None: ...
