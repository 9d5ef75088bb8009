"""Folders that end with the process that made them, keys and all."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

_made: list[Path] = []


def passing(name: str) -> Path:
    """Return a new folder, ours alone; it goes at the latest when the tests are over."""
    path = Path(tempfile.mkdtemp(prefix=f"jit-{name}-"))
    _made.append(path)
    return path


@atexit.register
def remove() -> None:
    """Remove them all. A process that shares the tests never comes to its `atexit`."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)
