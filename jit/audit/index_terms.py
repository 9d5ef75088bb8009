"""By what an event is found: its columns and its words, both derived from its content."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Mapping
from typing import Any

LONGEST_COLUMN = 200
"""Search columns are cut here: a B-tree refuses keys over 2,704 bytes. The body is whole."""
LONGEST_WORDS = 20_000
"""Characters of text made searchable in one event (a tsvector holds at most 1 MB)."""
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_BLANKS = bytes(code if chr(code).isalnum() else 0x20 for code in range(128)).ljust(256)


def columns_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the search columns that belong to an event's content; verification compares them."""
    return {
        **text_of(content),
        "id": uuid.UUID(content["id"]),
        "at": dt.datetime.fromisoformat(content["at"]),
        "request_id": _uuid(content["links"]["request_id"]),
        "grant_id": _uuid(content["links"]["grant_id"]),
    }


def text_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Return those of the columns that hold text."""
    actor, subject, links = content["actor"], content["subject"], content["links"]
    return {
        "actor_kind": column(actor["kind"]),
        "actor_id": column(actor["id"]),
        "actor_name": column(actor["name"]),
        "channel": column(content["channel"]),
        "action": column(content["action"]),
        "subject_type": column(subject["type"]),
        "subject_id": column(subject["id"]),
        "target": column(links["target"]),
        "role": column(links["role"]),
        "person": column(links["person"]),
    }


def words_of(content: Mapping[str, Any]) -> str:
    """Return the event's text as words parted by blanks (`/etc/shadow` is `etc shadow`)."""
    actor, subject, links = content["actor"], content["subject"], content["links"]
    found: list[str] = [content["id"], content["at"], *actor.values(), content["channel"]]
    found += [content["action"], *subject.values()]
    found += filter(None, links.values())
    _gather(content["body"], found)
    return split_words(" ".join(found)[:LONGEST_WORDS])


def split_words(text: str) -> str:
    """Return `text` with everything that is neither letter nor digit turned into blanks."""
    if text.isascii():
        return text.encode().translate(_BLANKS).decode().strip()
    return _NOT_ALPHANUMERIC.sub(" ", text).strip()


def column(text: str) -> str:
    """Return `text` as a column holds it: cut, and without NUL, which PostgreSQL refuses."""
    if len(text) <= LONGEST_COLUMN and "\0" not in text:
        return text
    return text[:LONGEST_COLUMN].replace("\0", "\ufffd")


def _uuid(text: str | None) -> uuid.UUID | None:
    return uuid.UUID(text) if text else None


def _gather(value: Any, found: list[str]) -> None:
    for inner in value.values() if type(value) is dict else value:
        kind = type(inner)
        if kind is str:
            found.append(inner)
        elif kind is dict or kind is list:
            _gather(inner, found)
