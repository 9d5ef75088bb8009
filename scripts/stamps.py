"""Stamps: what was installed, told by the hash of the files that asked for it."""

from __future__ import annotations

import hashlib
import os


class Stamp:
    """One thing that is in place in `folder`, for exactly these `files`."""

    def __init__(self, folder: str, name: str, files: list[str]) -> None:
        self.path = os.path.join(folder, ".stamp-" + name)
        self.files = files

    def digest(self) -> str:
        seen = hashlib.sha256()
        for file in self.files:
            with open(file, "rb") as opened:
                seen.update(hashlib.sha256(opened.read()).digest())
        return seen.hexdigest()

    def is_current(self) -> bool:
        try:
            with open(self.path, encoding="ascii") as opened:
                return opened.read() == self.digest()
        except OSError:
            return False

    def set(self) -> None:
        """Write the stamp whole or not at all: set-up may be interrupted."""
        fresh = "%s.%d" % (self.path, os.getpid())
        with open(fresh, "w", encoding="ascii") as opened:
            opened.write(self.digest())
        os.replace(fresh, self.path)
