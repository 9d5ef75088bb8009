"""The product's settings with a PostgreSQL connector that can be told to kill its own process.

The file named by `TEST_CRASH` holds "provision 3" or "revoke 5": the worker that passes the third
(fifth) moment, before or after a call to the target, of such an act removes the file and is gone as
by `kill -9`. "revoke after drop" names the moment by its step. What it passed is appended to the
file's neighbour `.passed`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jit.settings import *  # noqa: F403 -- the same installation in all else

CONNECTORS = {"postgresql": "tests.support.crashing.connector_class"}
_acting = threading.local()


def interfere(step: str, moment: Any) -> None:
    act = getattr(_acting, "act", None)
    if act is None:
        return
    _acting.passed += 1
    order = Path(os.environ["TEST_CRASH"])
    try:
        wanted, where = order.read_text(encoding="ascii").split(maxsplit=1)
    except (OSError, ValueError):
        return
    here = str(_acting.passed) if where.isdigit() else f"{moment} {step}"
    if wanted != act or where != here:
        return
    with order.with_suffix(".passed").open("a", encoding="ascii") as journal:
        journal.write(f"{act} {moment} {step}\n")
    order.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


def _make_class() -> Any:
    from jit.connectors.base import Context, GrantSpec, Issued
    from jit.connectors.postgresql import PostgreSQL

    class Crashing(PostgreSQL):
        def __init__(self, config: Any, context: Context | None = None) -> None:
            super().__init__(config, context or Context(interfere=interfere))

        def provision(self, spec: GrantSpec) -> Issued:
            _acting.act, _acting.passed = "provision", 0
            try:
                return super().provision(spec)
            finally:
                _acting.act = None

        def revoke(self, specs: Sequence[GrantSpec]) -> Any:
            _acting.act, _acting.passed = "revoke", 0
            try:
                return super().revoke(specs)
            finally:
                _acting.act = None

    return Crashing


def __getattr__(name: str) -> Any:
    if name == "connector_class":  # Made late: settings are read before any connector can be.
        return _make_class()
    raise AttributeError(name)
