"""Ask an on-call system over HTTP: bounded in time and size, no redirect, only JSON."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.models import PreparedRequest

from jit.kernel import answers, clock
from jit.oncall.adapters.base import OnCallServiceNotFound, OnCallUnavailable

CONNECT_SECONDS, READ_SECONDS, ALL_SECONDS = 2, 3, 4
LARGEST = 1_000_000
MOST_LEVELS = 1000
UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What our reading of an answer raises for one of another shape."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

type Prove = Callable[[PreparedRequest], PreparedRequest]


def checked(url: str) -> str:
    """Return `url` without its last slash. Raises TypeError unless it is https (or on this
    machine): whoever reads or alters the answer would decide who is on call.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise TypeError("url must be the https address of the on-call system")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise TypeError("url must start with https://")
    return url.rstrip("/")


def ask(
    system: str,
    method: str,
    url: str,
    *,
    prove: Prove,
    headers: dict[str, str],
    params: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
) -> dict[str, Any]:
    """Return the JSON object that the address answers. `prove` adds what shows who asks.

    Raises OnCallUnavailable and OnCallServiceNotFound. Their words name the system and what
    it did; what it wrote, and our secrets, are in neither.
    """
    give_up_at = time.monotonic() + ALL_SECONDS
    try:
        with (
            requests.Session() as session,
            session.request(
                method,
                url,
                # A callable in place of a header: requests would let a .netrc replace the header.
                auth=prove,
                headers={**headers, "Accept-Encoding": "identity"},
                params=list(params),
                data=body,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as answer,
        ):
            _refuse(system, answer.status_code)
            content = answers.read_whole(answer, largest=LARGEST, give_up_at=give_up_at)
            found = answers.parsed(answer, content)
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
        raise _unavailable(system, "did not answer in time") from None
    except answers.AnswerTooLarge:
        raise _unavailable(system, "answered far too much") from None
    except answers.NotJSON:
        raise _unavailable(system, "answered something that is not JSON") from None
    except (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,
    ):
        raise _unavailable(system, "can't be connected to") from None
    # Some say 200 and mean an error.
    if not isinstance(found, dict) or found.get("error") or found.get("errors"):
        raise nonsense(system)
    return found


def listed(found: Mapping[str, Any], name: str) -> list[Any]:
    """Return the list called `name`. Raises LookupError or TypeError without one."""
    items = found[name]
    if not isinstance(items, list):
        raise TypeError("not a list")
    return items


def word(value: object, *, longest: int = 254) -> str:
    """Return a name or an address that can be looked up and stored: printable text, which
    neither NUL nor half of a surrogate pair is. Raises TypeError or ValueError.
    """
    if not isinstance(value, str):
        raise TypeError("not a text")
    text = value.strip()
    if len(text) > longest or not text.isprintable():
        raise ValueError("not a name")
    return text


def word_or_none(value: object) -> str:
    """Return the same, empty for null. Raises as `word`."""
    return "" if value is None else word(value)


def moment(value: object) -> dt.datetime | None:
    """Return a time in UTC, or None for null. Raises ValueError for one without its zone."""
    if value is None:
        return None
    at = clock.aware(str(value))
    if at is None:
        raise ValueError("no time with its zone")
    return at


def level(value: object) -> int:
    """Return an escalation level, 1 or more. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_LEVELS:
        raise ValueError("not a level")
    return value


def nonsense(system: str) -> OnCallUnavailable:
    return _unavailable(system, "answered something that can't be understood")


def _unavailable(system: str, what: str) -> OnCallUnavailable:
    return OnCallUnavailable(
        f"{system} {what}, so nobody counts as on call: people decide instead. If it lasts, "
        "tell the operators.",
        extra={"system": system, "why": what},
    )


def _refuse(system: str, status: int) -> None:
    codes = requests.codes
    if status == codes.ok:
        return
    if status == codes.not_found:
        raise OnCallServiceNotFound(
            f"{system} does not know a service that the settings name: correct "
            "JIT_ONCALL_SERVICES.",
            extra={"system": system, "why": "knows no such service"},
        )
    if status in {codes.unauthorized, codes.forbidden}:
        raise _unavailable(system, "refused our credentials")
    if status == codes.too_many_requests:
        raise _unavailable(system, "says that we ask too often")
    raise _unavailable(system, f"answered with status {status}")
