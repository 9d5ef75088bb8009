"""An audit event before it is written: its canonical bytes and the columns it is found by."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import math
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
import rfc8785

from jit.audit import index_terms
from jit.kernel import clock
from jit.kernel.actor import Actor
from jit.kernel.ids import uuid7

_LARGEST_EXACT = 2**53 - 1
_ALIKE = frozenset({str, int, bool, type(None)})
"""Types that every writer of JSON spells alike."""
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Subject:
    """What the event is about: `type` (`grant`), `id` and the `label` people read."""

    type: str
    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Links:
    """By what an event is found: the request, the grant, the slugs of target and role, and
    the username of the person whose privilege it is about.
    """

    request_id: uuid.UUID | None = None
    grant_id: uuid.UUID | None = None
    target: str = ""
    role: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True)
class Erasable:
    """A value in an event's body that may have to be forgotten one day (an address, a name).

    The body keeps HMAC-SHA-256 of it under a random salt; value and salt stand in
    `audit_erasable`, to be erased by `operations.erase` for `person` (the user's id).
    """

    value: str
    person: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An erasable value on its way to the table beside the log."""

    id: uuid.UUID
    person: str
    field: str
    salt: bytes
    value: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event ready to be written: the bytes that are sealed, and what is derived from them."""

    id: uuid.UUID
    body: bytes
    columns: Mapping[str, Any]
    words: str
    erasable: tuple[Kept, ...] = field(default=())


def digest_of(value: str, salt: bytes) -> str:
    """Return the salted digest that stands in the body for an erasable `value`."""
    return "hmac-sha256:" + hmac.new(salt, value.encode(), hashlib.sha256).hexdigest()


def build(
    *,
    action: str,
    actor: Actor,
    now: dt.datetime,
    subject: Subject,
    links: Links,
    body: Mapping[str, Any],
) -> Event:
    """Return the event with its canonical bytes (RFC 8785).

    Text keeps every character, NUL included (as an escape); a lone surrogate, which UTF-8
    can't carry, becomes U+FFFD. Whole numbers beyond 2^53 and numbers that are not finite
    become text, since JSON readers differ on them. Raises TypeError for a value that has no
    JSON form and ValueError for a naive time.
    """
    event_id, kept = uuid7(), list[Kept]()
    plain = {
        "id": str(event_id),
        "at": clock.rfc3339(now),
        "actor": {"kind": str(actor.kind), "id": _text(actor.id), "name": _text(actor.name)},
        "channel": str(actor.channel),
        "action": _text(action),
        "subject": {
            "type": _text(subject.type),
            "id": _text(subject.id),
            "label": _text(subject.label),
        },
        "links": {
            "request_id": _identifier(links.request_id),
            "grant_id": _identifier(links.grant_id),
            "target": _text(links.target),
            "role": _text(links.role),
            "person": _text(links.person),
        },
        "body": _plain(body, "body", kept),
    }
    return Event(
        id=event_id,
        body=_encoded(plain) if _spelt_alike(plain["body"]) else rfc8785.dumps(plain),
        columns={
            **index_terms.text_of(plain),
            "id": event_id,
            "at": now,
            "request_id": links.request_id,
            "grant_id": links.grant_id,
        },
        words=index_terms.words_of(plain),
        erasable=tuple(kept),
    )


def canonical(plain: Any) -> bytes:
    """Return plain JSON content in its canonical form (RFC 8785).

    orjson writes the same, many times as fast, unless a number is a float (it spells some
    otherwise), a key leaves ASCII (RFC 8785 orders by UTF-16), or it is nested too deeply.
    """
    encoded: bytes = _encoded(plain) if _spelt_alike(plain) else rfc8785.dumps(plain)
    return encoded


def _encoded(plain: Any) -> bytes:
    try:
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # nested more deeply than it goes
        encoded: bytes = rfc8785.dumps(plain)
        return encoded


def _spelt_alike(plain: Any) -> bool:
    """Return whether plain JSON content holds no float, and no key that leaves ASCII."""
    waiting = [plain]
    for value in waiting:
        kind = type(value)
        if kind is dict:
            if not "".join(value).isascii():
                return False
            waiting += [inner for inner in value.values() if type(inner) not in _ALIKE]
        elif kind is list:
            waiting += [inner for inner in value if type(inner) not in _ALIKE]
        elif kind not in _ALIKE:
            return False
    return True


def content_of(body: bytes) -> dict[str, Any]:
    """Return the event that canonical bytes hold."""
    content: dict[str, Any] = json.loads(body)
    return content


def _identifier(key: uuid.UUID | None) -> str | None:
    return None if key is None else str(key)


def _text(text: str) -> str:
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _number(number: float) -> float | str:
    if isinstance(number, int):
        return number if abs(number) <= _LARGEST_EXACT else str(number)
    return number if math.isfinite(number) else str(number)


def _is_plain(value: Any) -> bool:
    """Return whether the value goes into the body as it is: most do, and are told quickly."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    if kind is int:
        return bool(-_LARGEST_EXACT <= value <= _LARGEST_EXACT)
    return value is None or kind is bool


def _plain(value: Any, path: str, kept: list[Kept]) -> Any:  # noqa: C901, PLR0911 -- one return a type
    if type(value) is dict or type(value) is list:
        return _plain_inside(value, path, kept)
    if isinstance(value, Enum):
        return _plain(value.value, path, kept)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(str(value))
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, dt.datetime):
        return clock.rfc3339(value)
    if isinstance(value, dt.timedelta):
        return _number(value.total_seconds())
    if isinstance(value, uuid.UUID | Decimal | dt.date):
        return str(value)
    if isinstance(value, Erasable):
        return _salted(value, path, kept)
    if isinstance(value, Mapping | list | tuple):
        return _plain_inside(value, path, kept)
    if isinstance(value, set | frozenset):
        return _plain_inside(sorted(value, key=str), path, kept)
    raise TypeError(f"{path}: {type(value).__name__} has no place in an audit event")


def _plain_inside(value: Any, path: str, kept: list[Kept]) -> Any:
    if not isinstance(value, dict | Mapping):
        return [
            inner if _is_plain(inner) else _plain(inner, f"{path}[{place}]", kept)
            for place, inner in enumerate(value)
        ]
    return {
        key if type(key) is str and key.isascii() else _text(str(key)): inner
        if _is_plain(inner)
        else _plain(inner, f"{path}.{key}" if path else str(key), kept)
        for key, inner in value.items()
    }


def _salted(value: Erasable, path: str, kept: list[Kept]) -> dict[str, str]:
    text = _text(value.value).replace("\0", "\ufffd")
    held = Kept(
        id=uuid7(),
        person=index_terms.column(value.person),
        field=index_terms.column(_text(path)),
        salt=secrets.token_bytes(32),
        value=text,
    )
    kept.append(held)
    return {"erasable": str(held.id), "digest": digest_of(text, held.salt)}
