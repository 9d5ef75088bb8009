"""Asks the database for one figure after the other, each bounded by itself: what is slow or broken
hides nothing else and is told by its name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from django.db import Error as DatabaseFailure
from django.db import connection, transaction

log = logging.getLogger(__name__)
EACH_MILLISECONDS = 1_000
ALL_SECONDS = 5.0
"""A scrape must not pile up on a slow database: what comes later than this is not asked."""


class Asking:
    """One scrape's questions; `missing` names those without an answer."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self._until = time.monotonic() + ALL_SECONDS

    def figure[Answer](self, name: str, question: Callable[[], Answer]) -> Answer | None:
        """Return the answer, or None where the database gave none in its time."""
        if time.monotonic() > self._until:
            self.missing.append(name)
            return None
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL statement_timeout = {EACH_MILLISECONDS}")
                answer = question()
                with connection.cursor() as cursor:
                    # Within a test's transaction it would last.
                    cursor.execute("SET LOCAL statement_timeout = DEFAULT")
                return answer
        except DatabaseFailure as failure:
            log.warning("no figure %s: %s", name, str(failure).splitlines()[0])
            self.missing.append(name)
            return None

    def rows(self, name: str, query: str, given: dict[str, Any]) -> list[tuple[Any, ...]] | None:
        """Return the rows of a query, or None."""

        def ask() -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(query, given)
                return list(cursor.fetchall())

        return self.figure(name, ask)
