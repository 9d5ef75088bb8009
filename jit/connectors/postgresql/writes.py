"""Which of the two ways to write fits a server."""

from __future__ import annotations

from jit.connectors.postgresql.definer import Definer
from jit.connectors.postgresql.direct import Direct
from jit.connectors.postgresql.means import SINCE_DIRECT, Means


def means_for(version: int) -> Means:
    """Return the means for a server of libpq's version number, for one operation."""
    return Direct() if version >= SINCE_DIRECT else Definer()
