"""The parameters that an address may carry, declared once: what the OpenAPI document says of a
list is what is checked. A misspelt filter is refused: an empty list, or a whole one, would read as
an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from jit.api.errors import NotAsDescribed
from jit.api.fields import Choice, FlagInAddress, Id, Moment, NumberInAddress, PlainText

LONGEST_TEXT = 1000
"""Longer than anything that is stored and looked for."""
DEFAULT_LIMIT = 50
LONGEST_LIMIT = 200

Query = type[serializers.Serializer[Any]]


def text(**options: Any) -> PlainText:
    return PlainText(**{"max_length": LONGEST_TEXT, "required": False, **options})


def one_of(values: Iterable[str], **options: Any) -> Choice:
    return Choice(choices=[str(value) for value in values], required=False, **options)


def moment() -> Moment:
    return Moment(required=False)


def flag() -> FlagInAddress:
    return FlagInAddress(required=False)


def an_id() -> Id:
    return Id(required=False)


def number(*, least: int, most: int, default: int) -> NumberInAddress:
    return NumberInAddress(min_value=least, max_value=most, default=default)


def of(
    name: str, *, paged: bool = False, **parameters: serializers.Field[Any, Any, Any, Any]
) -> Query:
    """Return the shape of an address's parameters; `paged` adds `cursor` and `limit`."""
    if paged:
        parameters["cursor"] = text()
        parameters["limit"] = number(least=1, most=LONGEST_LIMIT, default=DEFAULT_LIMIT)
    return type(name, (serializers.Serializer,), {**parameters, "__module__": __name__})


NONE = of("NoQuery")
PAGED = of("PageQuery", paged=True)


def read(query: Query, request: Request) -> dict[str, Any]:
    """Return the parameters; those left out are "" (texts) or None. Raises NotAsDescribed, naming
    each that is unknown, said twice or not of its kind.
    """
    fields = query().fields
    given = {name: request.query_params.getlist(name) for name in request.query_params}
    wrong = {
        name: [problem]
        for name, values in given.items()
        if (problem := _wrong(fields, name, values))
    }
    checked = query(data={name: values[-1] for name, values in given.items() if name not in wrong})
    if not checked.is_valid():
        wrong = {
            name: [str(one) for one in found] for name, found in checked.errors.items()
        } | wrong
    if wrong:
        said = "; ".join(f"`{name[:100]}`: {problems[0]}" for name, problems in wrong.items())
        raise NotAsDescribed(f"The address can't be taken as it is. {said}"[:2000], fields=wrong)
    found = checked.validated_data
    return {name: found.get(name, _absent(field)) for name, field in fields.items()}


def _wrong(fields: Mapping[str, Any], name: str, values: list[str]) -> str:
    if name not in fields:
        known = ", ".join(fields)
        return f"No parameter here; there are {known}." if known else "No parameter is taken here."
    return "Said more than once; one value is looked for at a time." if len(values) > 1 else ""


def _absent(field: Any) -> str | None:
    return "" if isinstance(field, PlainText | Choice) else None
