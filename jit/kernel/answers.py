"""Read what a server outside answered: all of it or nothing, in bounded time and size, and as JSON
only what says that it is JSON and can be read in one way.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

import requests
import urllib3

_JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json", re.IGNORECASE | re.ASCII)
"""RFC 6839, section 3.1, and what PagerDuty and Jira send."""


class AnswerTooLarge(ValueError):
    """The answer is longer than any that is meant for us."""


class NotJSON(ValueError):
    """The answer is no JSON, or of two meanings."""


def read_whole(answer: requests.Response, *, largest: int, give_up_at: float) -> bytes:
    """Return the body of an answer that was asked for with `stream=True` and without an encoding,
    piece by piece as it comes: so that neither a slow nor an endless one holds us for longer.

    `give_up_at` is of `time.monotonic`. Raises AnswerTooLarge, TimeoutError, and OSError for a
    connection that broke before the end.
    """
    content = b""
    try:
        while piece := answer.raw.read1(65536):
            content += piece
            if len(content) > largest:
                raise AnswerTooLarge(f"more than {largest} bytes")
            if time.monotonic() > give_up_at:
                raise TimeoutError("the answer did not end in time")
    except urllib3.exceptions.TimeoutError:
        raise TimeoutError("the answer did not go on") from None
    except urllib3.exceptions.HTTPError as broken:
        raise OSError(f"the answer broke off: {type(broken).__name__}") from None
    return content


def parsed(answer: requests.Response, content: bytes) -> Any:
    """Return the JSON value that `content` is. Raises NotJSON, also for a name that stands twice
    in one object (RFC 8259, section 4: readers differ about which one counts).
    """
    if not _JSON.fullmatch(answer.headers.get("Content-Type", "").partition(";")[0].strip()):
        raise NotJSON("the answer does not say that it is JSON")
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise NotJSON("the answer is packed, which nobody asked for")
    try:
        return json.loads(content, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise NotJSON("the answer is no JSON") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJSON("a name stands twice")
    return found


def _no_number(name: str) -> float:
    raise NotJSON(f"{name} is no number in JSON")
