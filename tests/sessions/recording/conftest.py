"""Fixtures of the recorder's tests: a store in a folder, a recorder with what runs beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessions.recording.stores.filesystem import FileSystem
from tests.sessions.recording.gateway import FakeGateway


@pytest.fixture
def where(tmp_path: Path, settings: Any) -> FileSystem:
    settings.RECORDINGS_FOLDER = tmp_path / "store"
    settings.RECORDINGS_SPOOL = tmp_path / "spool"
    return FileSystem(settings.RECORDINGS_FOLDER)


@pytest.fixture
def gateway(where: FileSystem, settings: Any, world: Any) -> Iterator[FakeGateway]:
    made = FakeGateway(settings.RECORDINGS_SPOOL, where, world)
    yield made
    made.stop()
