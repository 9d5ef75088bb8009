"""Refuses the UPDATE whose guard does not stand on the row that it changes.

PostgreSQL, at READ COMMITTED, asks an UPDATE that waited for a row only its outer condition anew
(https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED): what a
sub-select said stays said. Django writes a sub-select whenever an `update()` filters through a
relation. So a guard (`used_at IS NULL`) in there lets two through at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_MAY_UPDATE = re.compile(r"(?i)\s*(?:UPDATE|WITH)\b")
_UPDATES = re.compile(r"(?i)(?<!FOR )(?<!KEY )(?<!DO )\bUPDATE\s+[\"\w]")
_ASKS = re.compile(r"(?i)\(\s*SELECT\b")
_HOLDS_THE_ROWS = re.compile(r"(?i)\bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b")


refused: list[str] = []
"""What was refused and not told of yet: the product may swallow the error itself."""


class GuardIsElsewhere(AssertionError):
    """An UPDATE asks its guard in a sub-select that holds no row."""


def check(sql: str) -> None:
    """Raise GuardIsElsewhere for such a statement."""
    if any(_ASKS.search(update) for update in _updates_of(sql)) and not _HOLDS_THE_ROWS.search(sql):
        raise GuardIsElsewhere(
            "This UPDATE has a sub-select, whose conditions are not asked again once it waited for "
            "a row. Filter on columns of the table itself; look at relations apart, or lock first "
            f"(SELECT … FOR UPDATE):\n{sql}"
        )


def _updates_of(sql: str) -> Iterator[str]:
    """Yield each UPDATE, up to the parenthesis that ends it where it is part of a WITH."""
    if not _MAY_UPDATE.match(sql):
        return
    for found in _UPDATES.finditer(sql):
        depth = 0
        end = len(sql)
        for at in range(found.start(), len(sql)):
            depth += (sql[at] == "(") - (sql[at] == ")")
            if depth < 0:
                end = at
                break
        yield sql[found.start() : end]


def _checked(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    try:
        check(sql)
    except GuardIsElsewhere:
        refused.append(sql)
        raise
    return execute(sql, params, many, context)


@contextmanager
def everywhere() -> Iterator[None]:
    """Check what every connection of this process is told meanwhile, of any thread."""

    def watch(connection: BaseDatabaseWrapper, **_: Any) -> None:
        if _checked not in connection.execute_wrappers:
            connection.execute_wrappers.append(_checked)

    connection_created.connect(watch, weak=False)
    with ExitStack() as undo:
        undo.callback(connection_created.disconnect, watch)
        for connection in connections.all(initialized_only=True):
            watch(connection)
        yield
