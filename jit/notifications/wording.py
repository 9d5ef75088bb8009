"""What a notification says, in a sentence for its reader, from the payload alone."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import NoReverseMatch, reverse

from jit.kernel.text import one_line
from jit.notifications.kinds import Kind

LONGEST_WORD = 80
LONGEST_WHY = 300
WHY = "Why"
"""The one fact that somebody may have written freely: mails, which leave the house, have none."""


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom the sentence is made: whom "your" means, and in which zone times are told."""

    username: str = ""
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Words:
    """A notification as people read it: a title in one line, what there is to know besides,
    and where to go. No word in it was made up by other people but names, and the fact WHY.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    link: str
    action: str


def words(kind: Kind, payload: Mapping[str, Any], reader: Reader) -> Words:
    """Return the words of a notification. What the payload lacks is left out, never guessed."""
    told = _Told(payload, reader)
    facts = [
        ("Requester", told["requester"]),
        ("Role", told["role"]),
        ("Target", told["target"]),
        ("Ticket", told["ticket"]),
        ("For", duration(payload.get("duration_seconds"))),
        ("Until", told.at("until")),
        ("Answer by", told.at("answer_by")),
        ("Review by", told.at("due_at")),
        (WHY, told.line("comment", LONGEST_WHY)),
        ("Endpoint", told["endpoint"]),
        ("Name", told["orphan"]),
        ("Connections cut", told["connections_cut"]),
        ("Error", told["error"]),
        ("Decides for", told["delegator"]),
        ("Roles", told["roles"]),
    ]
    return Words(
        title=one_line(_TITLES[kind](told)),
        facts=tuple((name, value) for name, value in facts if value),
        link=link(payload),
        action="Open the request" if payload.get("request") else "Open",
    )


def link(payload: Mapping[str, Any]) -> str:
    """Return the address of the page where everything is said and can be done."""
    request_id = payload.get("request")
    otherwise = reverse("account") if payload.get("delegation") else "/"
    try:
        path = reverse("request", args=[request_id]) if request_id else otherwise
        path = reverse("grants") if payload.get("orphan") else path
    except NoReverseMatch:
        path = "/"
    return settings.BASE_URL.rstrip("/") + path


def duration(seconds: object) -> str:
    """Return seconds as people say them: `900` is "15 min", `5400` is "1 h 30 min"."""
    if not isinstance(seconds, int) or seconds <= 0:
        return ""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    parts.append(f"{left} s" if left and not hours else "")
    return " ".join(part for part in parts if part)


class _Told:
    """The payload's words, each fit for one line; times in the reader's zone."""

    def __init__(self, payload: Mapping[str, Any], reader: Reader) -> None:
        self._payload = payload
        self._reader = reader

    def __getitem__(self, name: str) -> str:
        return one_line(self._payload.get(name, ""), LONGEST_WORD)

    def line(self, name: str, longest: int) -> str:
        return one_line(self._payload.get(name, ""), longest)

    def at(self, name: str) -> str:
        try:
            moment = dt.datetime.fromisoformat(str(self._payload.get(name) or ""))
            zone = zoneinfo.ZoneInfo(self._reader.timezone)
        except (ValueError, zoneinfo.ZoneInfoNotFoundError):
            return self[name]
        return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"

    def is_me(self, name: str) -> bool:
        return bool(self._reader.username) and self[name] == self._reader.username

    def name(self, name: str) -> str:
        """Return the person's name, or "you" where that is the reader."""
        return "you" if self.is_me(name) else self[name]

    @property
    def mine(self) -> bool:
        return self.is_me("requester")

    @property
    def whose(self) -> str:
        return "your" if self.mine else f"{self['requester']}'s"


def _asked(told: _Told) -> str:
    return f"{told['requester']} asks for {told['role']}: your decision is needed"


def _reminder(told: _Told) -> str:
    return f"{told['requester']} still waits for your decision on {told['role']}"


def _escalated(told: _Told) -> str:
    return f"{told['requester']} waits too long for {told['role']}: you may decide now"


def _decided(told: _Told) -> str:
    what = f"{told.whose} request for {told['role']}"
    verdict = told["verdict"]
    by = f"{told['by']} for {told['behalf']}" if told["behalf"] else told["by"]
    if verdict == "lapsed":
        return f"Nobody answered {what} in time"
    if verdict == "withdrawn":
        return f"{what[0].upper()}{what[1:]} was withdrawn"
    said = {"approve": "approved", "deny": "denied"}.get(verdict, verdict)
    rest = "" if told["final"] == "True" else f" (step {told['position']}; the next is asked now)"
    return f"{by} {said} {what}{rest}"


def _active(told: _Told) -> str:
    return f"{told['role']} is active until {told.at('until')}"


def _ending_soon(told: _Told) -> str:
    return f"{told['role']} ends in {told['left']}, at {told.at('until')}"


END_REASONS = {
    "expired": "its time is over",
    "returned": "it was returned",
    "revoked": "it was revoked",
    "ticket-closed": "its ticket was closed",
    "requester-left": "the account was disabled",
    "policy": "the policy in force says no",
    "activation-failed": "it could not be made to work",
}


def _ended(told: _Told) -> str:
    reason = END_REASONS.get(told["reason"], told["reason"])
    if told["reason"] == "returned" and told.mine:
        reason = "you returned it"
    if told["reason"] == "revoked" and told["by"]:
        reason = f"{told['by']} revoked it"
    return f"{told['role']} has ended: {reason}"


def _ticket_closed(told: _Told) -> str:
    return f"Ticket {told['ticket']} is closed: {told['role']} ends at {told.at('until')}"


def _break_glass_used(told: _Told) -> str:
    return f"{told['requester']} broke the glass for {told['role']}: your review is owed"


def _review_due(told: _Told) -> str:
    return f"The review of {told.whose} break-glass on {told['role']} is overdue"


def _revocation_stuck(told: _Told) -> str:
    return f"Revocation is stuck: {told['requester']} may still have {told['role']}"


def _orphan(told: _Told) -> str:
    what = f"{told['orphan']} on {told['target']}"
    if told["error"]:
        return f"{what} may be in use: no grant accounts for it, and it could not be suspended"
    return f"{what} was suspended: no grant accounts for it"


def _webhook_disabled(told: _Told) -> str:
    return f"The webhook {told['endpoint']} was disabled: {told['why']}"


def _delegation_offered(told: _Told) -> str:
    return f"{told['delegator']} asks you to decide for them until {told.at('until')}"


def _delegation_accepted(told: _Told) -> str:
    return f"{told['delegate']} decides for {told.name('delegator')} until {told.at('until')}"


def _delegation_ended(told: _Told) -> str:
    mine = told.is_me("delegate")
    who, whom = "You" if mine else told["delegate"], told.name("delegator")
    why = {
        "expired": "the time is over",
        "withdrawn": f"{told['by']} took it back",
        "declined": f"{told['by']} declined",
        "given-up": f"{told['by']} ended it",
    }.get(told["why"], told["why"])
    if told["accepted"] == "True":
        return f"{who} no longer {'decide' if mine else 'decides'} for {whom}: {why}"
    return f"{who} will not decide for {whom}: {why}"


def _test(told: _Told) -> str:
    return f"A test of {told['endpoint'] or 'your notifications'}"


_TITLES = {
    Kind.TEST: _test,
    Kind.ASKED: _asked,
    Kind.REMINDER: _reminder,
    Kind.ESCALATED: _escalated,
    Kind.DECIDED: _decided,
    Kind.ACTIVE: _active,
    Kind.ENDING_SOON: _ending_soon,
    Kind.ENDED: _ended,
    Kind.TICKET_CLOSED: _ticket_closed,
    Kind.BREAK_GLASS_USED: _break_glass_used,
    Kind.REVIEW_DUE: _review_due,
    Kind.REVOCATION_STUCK: _revocation_stuck,
    Kind.ORPHAN: _orphan,
    Kind.WEBHOOK_DISABLED: _webhook_disabled,
    Kind.DELEGATION_OFFERED: _delegation_offered,
    Kind.DELEGATION_ACCEPTED: _delegation_accepted,
    Kind.DELEGATION_ENDED: _delegation_ended,
}
