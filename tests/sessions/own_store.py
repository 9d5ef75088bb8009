"""A store of recordings that is this test's own, also for what asks the installation for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jit.kernel import backends
from sessions.recording.stores.filesystem import FileSystem
from tests.sessions.recording.conftest import gateway


@pytest.fixture
def where(tmp_path: Path, settings: Any) -> Iterator[FileSystem]:
    """Return the store; the process keeps one instance of it, made anew here."""
    settings.RECORDINGS_FOLDER = tmp_path / "store"
    settings.RECORDINGS_SPOOL = tmp_path / "spool"
    backends._instance.cache_clear()
    yield FileSystem(settings.RECORDINGS_FOLDER)
    backends._instance.cache_clear()


__all__ = ["gateway", "where"]
