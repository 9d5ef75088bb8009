"""What a store of recordings must do, and how it says that it can't."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

from jit.kernel import backends


class StoreFailed(Exception):
    """The store did not do it; `permanent` if asking again can't help."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class Store(Protocol):
    """Objects by name, written once and never changed. Every method raises StoreFailed."""

    def put(self, name: str, data: bytes, *, keep_until: dt.datetime | None) -> None:
        """Write `data`. What is there already under this name must be the same, else that is
        a permanent failure. `keep_until`: nobody can delete it before, where the store can
        promise that.
        """

    def names(self, folder: str) -> list[str]:
        """Return the names in `folder`, sorted; an empty list for a folder that is not there."""

    def get(self, name: str) -> bytes: ...

    def delete(self, name: str) -> None:
        """Delete it for good; what is not there is deleted already."""


def store() -> Store:
    """Return the installation's store."""
    found: Store = backends.from_setting("RECORDINGS_STORE")
    return found
