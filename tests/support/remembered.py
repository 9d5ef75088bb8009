"""The rows that a set-up wrote, put back by one statement where making them takes hundreds.

Making a world by the product's operations costs a tenth of a second of CPU, more than most tests
that ask for one. So it is made once in a process, and remembered as text.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from django.db import connection

_OURS = """
SELECT c.oid::regclass::text, string_agg(format('(r).%I', a.attname), ', ' ORDER BY a.attnum),
       string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
  AND has_column_privilege(c.oid, a.attnum, 'INSERT')
GROUP BY c.oid ORDER BY 1
"""
"""Every table with the columns that we may write; those computed or numbered are given anew."""


@functools.cache
def _tables() -> list[tuple[str, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_OURS)
        return cursor.fetchall()


_remembered: dict[str, str] = {}


def made(name: str, make: Callable[[], None]) -> None:
    """Run `make` the first time that `name` is asked for, and then write again what it wrote.

    Where there is somebody already, `make` runs: what it would add to depends on the test.
    """
    if _has_people():
        make()
    elif name in _remembered:
        with connection.cursor() as cursor:
            cursor.execute(_remembered[name])
    else:
        before = _filled()
        make()
        _remembered[name] = _written_since(before)


def _has_people() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM identity_user)")
        return bool(cursor.fetchone()[0])


def _filled() -> dict[str, int]:
    """Return the number of rows of each table that has any."""
    counts = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM {table}" for table, _, _ in _tables()
    )
    with connection.cursor() as cursor:
        cursor.execute(counts)
        return {table: count for table, count in cursor.fetchall() if count}


def _written_since(before: dict[str, int]) -> str:
    """Return the statements that write again, in one journey, what was added to empty tables."""
    again = []
    with connection.cursor() as cursor:
        for table, columns, names in _tables():
            rows = f"SELECT array_agg(quote_literal(r::text)) FROM {table} r"
            cursor.execute(rows)
            quoted = cursor.fetchone()[0] or []
            if len(quoted) == before.get(table, 0):
                continue
            assert table not in before, f"{table} had rows, and which are new is not known"
            again.append(
                f"INSERT INTO {table} ({names}) SELECT {columns} FROM "
                f"(SELECT v::{table} AS r FROM unnest(ARRAY[{', '.join(quoted)}]) v) made;"
            )
    return "\n".join(again)
