"""Many guarded moves in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, models


@dataclass(frozen=True, slots=True)
class Move:
    """One row's way: from `source` to `target`, with the fields that change on it."""

    pk: Any
    source: str
    target: str
    changes: Mapping[str, Any]


def guarded_update(model: type[models.Model], moves: Sequence[Move]) -> set[Any]:
    """Write every move whose row is still in its source state; return the keys of those.

    The rows are locked in the order of their keys, so that two overlapping calls wait for
    each other and never deadlock. Raises ValueError when the moves change different fields.
    """
    names = sorted(moves[0].changes)
    if any(sorted(move.changes) != names for move in moves):
        raise ValueError("every row of one statement must change the same fields")
    meta = model._meta  # noqa: SLF001 -- Django's documented name
    fields: list[Any] = [meta.get_field(name) for name in names]
    pk: Any = meta.pk
    state = meta.get_field("state")
    columns = [pk, state, state, *fields]
    values = [
        [_stored(column, value) for value in values]
        for column, values in zip(
            columns,
            [
                [move.pk for move in moves],
                [move.source for move in moves],
                [move.target for move in moves],
                *[[move.changes[name] for move in moves] for name in names],
            ],
            strict=True,
        )
    ]
    quote = connection.ops.quote_name
    table, key = quote(meta.db_table), quote(pk.column)
    arrays = ", ".join(f"%s::{_type(column)}[]" for column in columns)
    aliases = ["pk", "source", "target", *(f"c{place}" for place in range(len(names)))]
    assigned = "".join(
        f", {quote(column.column)} = v.c{place}" for place, column in enumerate(fields)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH v AS MATERIALIZED (SELECT * FROM unnest({arrays}) AS v({', '.join(aliases)})), "  # noqa: S608 -- names come from the model
            f"held AS MATERIALIZED (SELECT t.{key} AS pk FROM {table} t JOIN v ON t.{key} = v.pk "
            f"AND t.state = v.source ORDER BY t.{key} FOR UPDATE OF t) "
            f"UPDATE {table} AS t SET state = v.target{assigned} FROM v JOIN held USING (pk) "
            f"WHERE t.{key} = v.pk AND t.state = v.source RETURNING t.{key}",
            values,
        )
        return {row[0] for row in cursor.fetchall()}


def _type(field: Any) -> str:
    return str(field.db_type(connection))


def _stored(field: Any, value: Any) -> Any:
    if isinstance(value, models.Model):
        value = value.pk
    return field.get_db_prep_save(value, connection)
