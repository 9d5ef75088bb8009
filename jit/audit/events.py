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

import rfc8785

from jit.kernel import clock
from jit.kernel.actor import Actor
from jit.kernel.ids import uuid7

LONGEST_COLUMN = 200
"""Search columns are cut here: a B-tree refuses keys over 2,704 bytes. The body is whole."""
LONGEST_WORDS = 20_000
"""Characters of text made searchable in one event (a tsvector holds at most 1 MB)."""
_LARGEST_EXACT = 2**53 - 1
_SURROGATES = re.compile("[\ud800-\udfff]")
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


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
    event_id = uuid7()
    kept: list[Kept] = []
    content = {
        "id": str(event_id),
        "at": clock.rfc3339(now),
        "actor": {"kind": str(actor.kind), "id": actor.id, "name": actor.name},
        "channel": str(actor.channel),
        "action": str(action),
        "subject": {"type": subject.type, "id": subject.id, "label": subject.label},
        "links": {
            "request_id": links.request_id,
            "grant_id": links.grant_id,
            "target": links.target,
            "role": links.role,
            "person": links.person,
        },
        "body": body,
    }
    plain = _plain(content, "", kept)
    return Event(
        id=event_id,
        body=canonical(plain),
        columns=columns_of(plain),
        words=words_of(plain),
        erasable=tuple(kept),
    )


_ENCODE = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False
).encode


def canonical(plain: Any) -> bytes:
    """Return plain JSON content in its canonical form (RFC 8785).

    The standard library writes the same, many times as fast, unless a number is a float (it
    spells some otherwise) or a key leaves ASCII (RFC 8785 orders by UTF-16).
    """
    if _spelt_alike(plain):
        return _ENCODE(plain).encode()
    encoded: bytes = rfc8785.dumps(plain)
    return encoded


def _spelt_alike(plain: Any) -> bool:
    waiting = [plain]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if not all(map(str.isascii, value)):
                return False
            waiting += [inner for inner in value.values() if type(inner) is not str]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, float):
            return False
    return True


def columns_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search columns that belong to an event's content; verification compares them."""
    actor, subject, links = content["actor"], content["subject"], content["links"]
    return {
        "id": uuid.UUID(content["id"]),
        "at": dt.datetime.fromisoformat(content["at"]),
        "actor_kind": _column(actor["kind"]),
        "actor_id": _column(actor["id"]),
        "actor_name": _column(actor["name"]),
        "channel": _column(content["channel"]),
        "action": _column(content["action"]),
        "subject_type": _column(subject["type"]),
        "subject_id": _column(subject["id"]),
        "request_id": _uuid(links["request_id"]),
        "grant_id": _uuid(links["grant_id"]),
        "target": _column(links["target"]),
        "role": _column(links["role"]),
        "person": _column(links["person"]),
    }


def words_of(content: Mapping[str, Any]) -> str:
    """Return the event's text as words parted by blanks (`/etc/shadow` is `etc shadow`)."""
    found: list[str] = []
    _gather(content, found)
    return split_words(" ".join(found)[:LONGEST_WORDS])


def split_words(text: str) -> str:
    """Return `text` with everything that is neither letter nor digit turned into blanks."""
    return _NOT_ALPHANUMERIC.sub(" ", text).strip()


def content_of(body: bytes) -> dict[str, Any]:
    """Return the event that canonical bytes hold."""
    content: dict[str, Any] = json.loads(body)
    return content


def _column(text: str) -> str:
    return text[:LONGEST_COLUMN].replace("\0", "\ufffd")


def _uuid(text: str | None) -> uuid.UUID | None:
    return uuid.UUID(text) if text else None


def _gather(value: Any, found: list[str]) -> None:
    if isinstance(value, str):
        found.append(value)
    if not isinstance(value, dict | list):
        return
    for inner in value.values() if isinstance(value, dict) else value:
        if type(inner) is str:  # most are, and need no call
            found.append(inner)
        else:
            _gather(inner, found)


def _text(text: str) -> str:
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def _number(number: float) -> float | str:
    if isinstance(number, int):
        return number if abs(number) <= _LARGEST_EXACT else str(number)
    return number if math.isfinite(number) else str(number)


def _is_plain(value: Any) -> bool:
    """Return whether the value goes into the body as it is: most do, and are told quickly."""
    kind = type(value)
    return value is None or kind is bool or (kind is str and value.isascii())


def _plain(value: Any, path: str, kept: list[Kept]) -> Any:  # noqa: C901, PLR0911 -- one return a type
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
    if isinstance(value, Mapping):
        return {
            _text(str(key)): inner
            if _is_plain(inner)
            else _plain(inner, f"{path}.{key}" if path else str(key), kept)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(inner, f"{path}[{place}]", kept) for place, inner in enumerate(items)]
    raise TypeError(f"{path}: {type(value).__name__} has no place in an audit event")


def _salted(value: Erasable, path: str, kept: list[Kept]) -> dict[str, str]:
    text = _text(value.value).replace("\0", "\ufffd")
    held = Kept(
        id=uuid7(),
        person=_column(value.person),
        field=_column(_text(path)),
        salt=secrets.token_bytes(32),
        value=text,
    )
    kept.append(held)
    return {"erasable": str(held.id), "digest": digest_of(text, held.salt)}
