"""JSON as it comes in: whatever can't be read is the sender's mistake, never a fault of ours."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.utils.json import strict_constant


class Json(JSONParser):
    """DRF's parser, which ten thousand opening brackets would break, and which takes the last of
    two fields of one name (RFC 8259 4 leaves it open): who reads the first would read another ask.
    """

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002 -- DRF's signature
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        encoding = (parser_context or {}).get("encoding", settings.DEFAULT_CHARSET)
        try:
            text = codecs.getreader(encoding)(stream).read()
            return json.loads(  # type: ignore[no-any-return]  # whatever it is, `parse` checks it
                text, parse_constant=strict_constant, object_pairs_hook=_each_once
            )
        except RecursionError:
            raise ParseError("The JSON is nested too deeply to be read.") from None
        except (ValueError, LookupError) as unreadable:
            raise ParseError(f"The JSON can't be read: {unreadable}") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the field {name[:100]!r} is there twice")
        found[name] = value
    return found
