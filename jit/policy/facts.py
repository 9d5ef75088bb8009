"""What policy may look at: a closed, typed list of attributes, each with a fail-closed default."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any

from jit.kernel import clock
from jit.policy import durations

NO_SEVERITY = 99
"""The severity of a ticket that states none: less severe than all that exist."""
LONG_AGO = 10 * 365 * 86400
"""The age, in seconds, of a second factor that was never given."""
NO_WINDOW = 10 * 365 * 86400
"""The seconds left of a ticket that has no window of its own: it limits nothing."""
_INT64 = 1 << 63


class Kind(StrEnum):
    """The type of an attribute, as authors of policies name it."""

    STRING = "STRING"
    INT = "INT"
    BOOL = "BOOL"
    DURATION = "DURATION"
    TIMESTAMP = "TIMESTAMP"
    STRINGS = "LIST<STRING>"
    TAGS = "MAP<STRING, STRING>"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One thing that policy may read. `default` stands where nobody knows the value; it
    is chosen so that not knowing never opens a door.
    """

    kind: Kind
    default: Any
    meaning: str


_S, _L, _B, _I = Kind.STRING, Kind.STRINGS, Kind.BOOL, Kind.INT

ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType(
    {
        "user.id": Attribute(_S, "", "The requester's short name, such as rita."),
        "user.name": Attribute(_S, "", "The requester's display name."),
        "user.groups": Attribute(_L, [], "The groups the requester is in, by slug."),
        "user.on_call_for": Attribute(_L, [], "What the requester is on call for right now."),
        "user.on_call_left": Attribute(
            Kind.DURATION, 0, "What is left of the first of these shifts to end."
        ),
        "user.acknowledged_for": Attribute(
            _L, [], "The services with an open incident that the requester acknowledged."
        ),
        "user.on_call_known": Attribute(
            _B, False, "Whether every on-call system that was asked answered."
        ),
        "user.on_call_checks": Attribute(
            Kind.TAGS, {}, "What the on-call systems said, service by service, for the record."
        ),
        "user.manager": Attribute(_S, "", "The short name of the requester's manager."),
        "user.attributes": Attribute(Kind.TAGS, {}, "Further attributes from the directory."),
        "role.slug": Attribute(_S, "", "The role's name in URLs, such as orders-db-reader."),
        "role.name": Attribute(_S, "", "The role's name as people read it."),
        "role.team": Attribute(_S, "", "The team of the role's target."),
        "role.kind": Attribute(_S, "", "The kind of the role's target, such as postgresql."),
        "role.env": Attribute(_S, "prod", "The environment of the role's target."),
        "role.risk": Attribute(_S, "critical", "low, medium, high or critical."),
        "role.target": Attribute(_S, "", "The slug of the role's target."),
        "role.owner_group": Attribute(_S, "", "The slug of the group that owns the role."),
        "role.tags": Attribute(Kind.TAGS, {}, "The role's tags."),
        "role.max_duration": Attribute(Kind.DURATION, 0, "The longest the role may be held."),
        "target.slug": Attribute(_S, "", "The target's name in URLs."),
        "target.name": Attribute(_S, "", "The target's name as people read it."),
        "target.kind": Attribute(_S, "", "The connector's kind, such as postgresql."),
        "target.env": Attribute(_S, "prod", "The target's environment."),
        "target.team": Attribute(_S, "", "The target's team."),
        "ticket.system": Attribute(_S, "", "Which ticket system, such as jira."),
        "ticket.key": Attribute(_S, "", "The ticket's key, such as OPS-1; empty without one."),
        "ticket.known": Attribute(_B, False, "Whether the ticket system confirmed the ticket."),
        "ticket.status": Attribute(_S, "", "The status in the ticket system's own words."),
        "ticket.is_open": Attribute(_B, False, "Whether the ticket is open."),
        "ticket.severity": Attribute(_I, NO_SEVERITY, "1 is the worst; 99 when none is stated."),
        "ticket.assignee": Attribute(_S, "", "The short name of the ticket's assignee."),
        "ticket.service": Attribute(_S, "", "The service that the ticket is about."),
        "ticket.type": Attribute(_S, "", "The type of ticket, such as incident."),
        "ticket.opened_by": Attribute(
            _S, "", "Who opened the ticket, by short name; the requester for a second account."
        ),
        "ticket.changed_by": Attribute(
            _L, [], "Everybody who changed what policy reads of the ticket since it was opened."
        ),
        "ticket.age": Attribute(Kind.DURATION, 0, "How long ago the ticket was opened."),
        "ticket.unknown": Attribute(
            _L, [], "The attributes of the ticket that its system does not tell."
        ),
        "ticket.window": Attribute(
            Kind.DURATION, NO_WINDOW, "What is left of the ticket's change window."
        ),
        "request.duration": Attribute(Kind.DURATION, NO_WINDOW, "How long is asked for."),
        "request.justification_length": Attribute(_I, 0, "Characters of the justification."),
        "request.channel": Attribute(_S, "", "web, api, slack or cli."),
        "request.break_glass": Attribute(_B, False, "Whether it is asked for by break-glass."),
        "request.extends": Attribute(_B, False, "Whether it prolongs a grant that is live."),
        "request.starts_in": Attribute(Kind.DURATION, 0, "How far ahead the start lies."),
        "request.change_freeze": Attribute(_B, True, "Whether a change freeze is on."),
        "request.second_factor_age": Attribute(
            Kind.DURATION, LONG_AGO, "How long ago the requester gave a second factor."
        ),
        "request.at": Attribute(Kind.TIMESTAMP, "", "When policy is asked."),
        "request.hour": Attribute(_I, -1, "The hour of `request.at` in UTC, 0 to 23."),
        "request.weekday": Attribute(_I, 7, "The day of `request.at` in UTC; Monday is 1."),
    }
)
NAMESPACES = ("user", "role", "target", "ticket", "request")
_NOT_FOR_POLICY = frozenset({"ticket.title", "ticket.url", "ticket.fetched_at", "ticket.opened_at"})
"""Parts of a ticket's snapshot that policy may not read: free text decides nothing."""
_TOLD = ("opened_by", "changed_by", "age", "severity")
"""Parts of a ticket that not every ticket system tells; one that is not given is unknown."""
_FROM_TARGET = {"team": "team", "kind": "kind", "env": "env", "target": "slug"}


class UnknownFact(ValueError):
    """A fact that policy has no attribute for, or one of the wrong type: a bug or a typo."""


@dataclass(frozen=True)
class Facts:
    """What was known when policy was asked. `values` maps every dotted name of ATTRIBUTES
    to a JSON value: durations are whole seconds, times RFC 3339.
    """

    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def with_values(self, changes: Mapping[str, Any]) -> Facts:
        """Return the same facts with some dotted names replaced.

        Raises UnknownFact as `build` does.
        """
        checked = _checked(changes)
        told = {name.removeprefix("ticket.") for name in changes}
        untold = [name for name in self.values["ticket.unknown"] if name not in told]
        return Facts(MappingProxyType({**self.values, "ticket.unknown": untold, **checked}))

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Return the facts nested by namespace, as they are stored with a ruling."""
        nested: dict[str, dict[str, Any]] = {namespace: {} for namespace in NAMESPACES}
        for name, value in self.values.items():
            namespace, _, attribute = name.partition(".")
            nested[namespace][attribute] = value
        return nested

    @classmethod
    def from_json(cls, stored: Mapping[str, Mapping[str, Any]]) -> Facts:
        """Return facts that were stored, even by an older version: what it did not know yet
        takes its fail-closed default, what is no longer known is left out.
        """
        values = {
            f"{namespace}.{attribute}": value
            for namespace, attributes in stored.items()
            for attribute, value in attributes.items()
            if f"{namespace}.{attribute}" in ATTRIBUTES
        }
        return _complete(values)

    @cached_property
    def digest(self) -> str:
        """The SHA-256, in hex, of the facts as JSON with sorted keys and no spaces."""
        text = json.dumps(dict(self.values), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def native(self) -> dict[str, Any]:
        """Return a fresh mapping of dotted names to Python values, durations as timedelta."""
        native = dict(self.values)
        for name in _DURATIONS:
            native[name] = dt.timedelta(seconds=native[name])
        for name in _TIMESTAMPS:
            native[name] = dt.datetime.fromisoformat(native[name])
        return native


_DURATIONS = tuple(name for name, a in ATTRIBUTES.items() if a.kind is Kind.DURATION)
_TIMESTAMPS = tuple(name for name, a in ATTRIBUTES.items() if a.kind is Kind.TIMESTAMP)


def build(
    *,
    user: Mapping[str, Any],
    role: Mapping[str, Any],
    ticket: Mapping[str, Any] | None,
    request: Mapping[str, Any],
    now: dt.datetime,
    target: Mapping[str, Any] | None = None,
) -> Facts:
    """Return the facts of one question to policy.

    Each mapping names attributes of its namespace; durations may be seconds, a timedelta or
    a text (`30m`). `None`, and whatever is missing, takes its fail-closed default. `ticket`
    may be a snapshot's JSON; pass None where there is no ticket, and
    `{"system", "key", "known": False}` where its system does not answer. Who opened and
    changed a ticket, its age and its severity are unknown unless they are given, which
    `ticket.unknown` then says. What `role` does
    not say of its target is taken from `target`. `request.change_freeze` is on unless it is
    said to be off.

    Raises UnknownFact for a name that is not in ATTRIBUTES or a value of the wrong type.
    """
    target = target or {}
    at = now.astimezone(dt.UTC)
    from_target = {
        attribute: target[source] for attribute, source in _FROM_TARGET.items() if source in target
    }
    given = {
        "user": user,
        "role": {**from_target, **role},
        "target": target,
        "ticket": ticket or {},
        "request": {
            "at": clock.rfc3339(at),
            "hour": at.hour,
            "weekday": at.isoweekday(),
            **request,
        },
    }
    flat = {
        f"{namespace}.{attribute}": value
        for namespace, attributes in given.items()
        for attribute, value in attributes.items()
        if value is not None and f"{namespace}.{attribute}" not in _NOT_FOR_POLICY
    }
    return _complete(_checked(flat))


def _complete(values: Mapping[str, Any]) -> Facts:
    complete = {
        name: values[name] if name in values else _copy(attribute.default)
        for name, attribute in ATTRIBUTES.items()
    }
    missing = {name for name in _TOLD if complete[f"ticket.{name}"] == _nothing(name)}
    missing -= {"changed_by"} if "ticket.changed_by" in values else set()
    complete["ticket.unknown"] = sorted({*complete["ticket.unknown"], *missing})
    if not complete["request.at"]:
        complete["request.at"] = "1970-01-01T00:00:00.000000Z"
    return Facts(MappingProxyType(complete))


def _nothing(name: str) -> Any:
    return ATTRIBUTES[f"ticket.{name}"].default


def _copy(default: Any) -> Any:
    return default.copy() if isinstance(default, list | dict) else default


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    checked = {}
    for name, value in values.items():
        if name not in ATTRIBUTES:
            raise UnknownFact(f"policy has no attribute {name}{_nearest(name)}")
        checked[name] = _typed(name, ATTRIBUTES[name].kind, value)
    return checked


def _nearest(name: str) -> str:
    import difflib  # noqa: PLC0415 -- only on the way to an error

    near = difflib.get_close_matches(name, ATTRIBUTES, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("not a whole number")
    if not -_INT64 <= value < _INT64:
        raise ValueError("does not fit in 64 bits")
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _timestamp(value: Any) -> str:
    at = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
    return clock.rfc3339(at)


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list | tuple | set | frozenset):
        raise TypeError("not a list of texts")
    return sorted(_string(item) for item in value)


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError("not a map of texts")
    return {_string(key): _tag(item) for key, item in sorted(value.items()) if item is not None}


def _tag(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_READERS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.STRING: _string,
    Kind.INT: _integer,
    Kind.BOOL: _boolean,
    Kind.DURATION: durations.seconds,
    Kind.TIMESTAMP: _timestamp,
    Kind.STRINGS: _strings,
    Kind.TAGS: _tags,
}


def _typed(name: str, kind: Kind, value: Any) -> Any:
    """Return `value` as the JSON of its kind, or raise UnknownFact."""
    try:
        return _READERS[kind](value)
    except (TypeError, ValueError) as error:
        raise UnknownFact(f"{name} is {kind}, which {value!r:.100} is not: {error}") from error
