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
    pk: Any = meta.pk
    state: Any = meta.get_field("state")
    source = _Column(state, [move.source for move in moves])
    written = [
        _Column(state, [move.target for move in moves]),
        *(_Column(meta.get_field(name), [move.changes[name] for move in moves]) for name in names),
    ]
    varying = [_Column(pk, [move.pk for move in moves])]
    varying += [column for column in (source, *written) if not column.is_constant]
    quote = connection.ops.quote_name
    table, key = quote(meta.db_table), quote(pk.column)
    said: list[Any] = []

    def value(column: _Column) -> str:
        if column.is_constant:
            said.append(column.stored[0])
            return f"%s::{column.type}"
        return f"v.c{varying.index(column)}"

    arrays = ", ".join(f"%s::{column.type}[]" for column in varying)
    aliases = ", ".join(f"c{place}" for place in range(len(varying)))
    held = value(source)
    assigned = ", ".join(f"{quote(column.field.column)} = {value(column)}" for column in written)
    still = value(source)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH v AS MATERIALIZED (SELECT * FROM unnest({arrays}) AS v({aliases})), "  # noqa: S608 -- names come from the model
            f"held AS MATERIALIZED (SELECT t.{key} AS pk FROM {table} t JOIN v ON t.{key} = v.c0 "
            f"AND t.state = {held} ORDER BY t.{key} FOR UPDATE OF t) "
            f"UPDATE {table} AS t SET {assigned} FROM v JOIN held ON held.pk = v.c0 "
            f"WHERE t.{key} = v.c0 AND t.state = {still} RETURNING t.{key}",
            [*(column.array() for column in varying), *said],
        )
        return {row[0] for row in cursor.fetchall()}


class _Column:
    """A field's values on their way into the statement: one for each row, or one for all."""

    def __init__(self, field: Any, values: Sequence[Any]) -> None:
        self.field = field
        self.type = str(field.db_type(connection))
        self.is_constant = _all_alike(values)
        self.stored = [
            field.get_db_prep_save(
                value.pk if isinstance(value, models.Model) else value, connection
            )
            for value in (values[:1] if self.is_constant else values)
        ]

    def array(self) -> Any:
        """Return all values as one parameter; keys as text, which the driver passes on whole."""
        if self.type == "uuid" and None not in self.stored:
            return f"{{{','.join(map(str, self.stored))}}}"
        return self.stored


def _all_alike(values: Sequence[Any]) -> bool:
    """Return whether the values are one and the same; of what JSON may spell in two ways though
    Python calls it equal (`{"n": 1}` and `{"n": True}`), only if they are one object.
    """
    first = values[0]
    if isinstance(first, dict | list | float):
        return all(value is first for value in values)
    return all(
        value is first or (type(value) is type(first) and value == first) for value in values
    )
