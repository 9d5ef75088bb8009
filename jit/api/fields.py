"""The kinds of values that come in by JSON or in an address, each read strictly: what the OpenAPI
document calls an integer is an integer and no text or boolean that could be read as one.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jit.kernel import clock

_WHOLE = re.compile(r"-?[0-9]{1,18}")


class WholeNumber(serializers.IntegerField):
    """A whole number; text, fractions and booleans are refused."""

    default_error_messages = {
        "invalid": "A whole number.",
        "min_value": "At least {min_value}.",
        "max_value": "At most {max_value}.",
    }

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class WholeSeconds(WholeNumber):
    """A duration in whole seconds."""

    default_error_messages = {
        "invalid": "A whole number of seconds.",
        "min_value": "At least {min_value} seconds.",
        "max_value": "At most {max_value} seconds.",
    }


class NumberInAddress(WholeNumber):
    """A whole number as an address writes it: decimal digits."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str) or not _WHOLE.fullmatch(data):
            self.fail("invalid")
        return super().to_internal_value(int(data))


NO_NUL = r"^[^\u0000]*$"


class PlainText(serializers.CharField):
    """Text as it was typed: numbers are not taken for it, nothing is trimmed. PostgreSQL has no
    NUL in a text, and the OpenAPI document says so (`NO_NUL`).
    """

    def __init__(self, **options: Any) -> None:
        shortest = {} if options.get("allow_blank") else {"min_length": 1}
        super().__init__(**{"trim_whitespace": False, **shortest, **options})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Choice(serializers.ChoiceField):
    """One of some words, written exactly so."""

    default_error_messages = {"invalid_choice": "One of {listed}."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice", listed=", ".join(str(key) for key in self.choices))
        return data


class Flag(serializers.BooleanField):
    """true or false; no number and no other word stands for one."""

    default_error_messages = {"invalid": "true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


@extend_schema_field(bool)
class FlagInAddress(serializers.Field[bool, str, bool, Any]):
    """`true` or `false`, as an address writes it."""

    default_error_messages = {"invalid": "true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if data not in ("true", "false"):
            self.fail("invalid")
        return bool(data == "true")


class Id(serializers.UUIDField):
    """An id, as text; DRF's own field takes numbers for ids as well."""

    default_error_messages = {"invalid": "Not an id."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Moment(serializers.DateTimeField):
    """A time with its zone (RFC 3339), taken to UTC. Python reads zones up to 24 hours away from
    UTC, PostgreSQL only those less than 16 hours away: no zone of the caller's goes further.
    """

    default_error_messages = {
        "invalid": "A time with its zone (RFC 3339), such as 2030-01-31T09:00:00Z.",
    }

    def to_internal_value(self, value: Any) -> dt.datetime:
        at = clock.aware(value) if isinstance(value, str) else None
        if at is None:
            self.fail("invalid")
        return at
