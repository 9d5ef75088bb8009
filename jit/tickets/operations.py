"""Writes to the built-in tracker: whoever is signed in may open a ticket; those whom it concerns
edit and close it.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction

from jit.audit import operations as audit
from jit.audit.operations import Subject
from jit.identity import queries as identity
from jit.identity.models import User
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, InvalidInput, NotAllowed
from jit.kernel.tasks import enqueue_on_commit
from jit.tickets.models import (
    LONGEST_DESCRIPTION,
    LONGEST_TITLE,
    LocalComment,
    LocalTicket,
    Status,
)
from jit.tickets.queries import UnknownTicket, may_change

SYSTEM = "local"
LONGEST_COMMENT = 4000
READ_BY_POLICY = frozenset({"severity", "assignee", "service", "type"})


class NotYourTicket(NotAllowed):
    """A ticket is changed by who opened it, its assignee, and holders of `ticket:manage`."""


class TicketAlreadyClosed(Conflict):
    """The ticket is closed: it can be read, not changed."""


def _subject(ticket: LocalTicket) -> Subject:
    return Subject(type="ticket", id=f"{SYSTEM}:{ticket.key}", label=ticket.key)


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields trimmed, or raise InvalidInput naming each one that can't stand."""
    errors: dict[str, list[str]] = {}
    kept: dict[str, Any] = {}
    longest = {
        "title": LONGEST_TITLE,
        "description": LONGEST_DESCRIPTION,
        "service": 100,
        "type": 40,
        "assignee": 150,
    }
    for name, value in fields.items():
        if name == "severity":
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:  # noqa: PLR2004 -- the scale of severities
                errors[name] = ["Severity is a whole number from 1 (worst) to 5."]
            kept[name] = value
            continue
        text = str(value).strip()
        if "\x00" in text:
            errors[name] = ["Remove the NUL character."]
        elif len(text) > longest[name]:
            errors[name] = [f"Shorten it to {longest[name]} characters."]
        elif name in {"title", "type"} and not text:
            errors[name] = ["Fill this in."]
        kept[name] = text
    assignee = kept.get("assignee")
    if (
        assignee
        and "assignee" not in errors
        and not identity.users_by_usernames(frozenset({assignee})).exists()
    ):
        errors["assignee"] = ["Nobody active has this username."]
    if errors:
        raise InvalidInput("The ticket can't be saved as it is; see the fields.", fields=errors)
    return kept


@transaction.atomic
def open_ticket(
    *,
    title: str,
    severity: int,
    actor: Actor,
    now: dt.datetime,
    description: str = "",
    assignee: str = "",
    service: str = "",
    type: str = "incident",  # noqa: A002 -- the snapshot's word
) -> LocalTicket:
    """Write an open ticket and return it. Raises InvalidInput naming the fields."""
    fields = _checked(
        {
            "title": title,
            "severity": severity,
            "description": description,
            "assignee": assignee,
            "service": service,
            "type": type,
        }
    )
    ticket = LocalTicket.objects.create(
        **fields, opened_by=actor.name, created_at=now, updated_at=now
    )
    audit.record(
        action="ticket.opened", actor=actor, now=now, subject=_subject(ticket), body=fields
    )
    return ticket


def _locked(ticket: LocalTicket, user: User | None) -> LocalTicket:
    """Return the open ticket's row, locked. `user` is whoever wants to change it, None for
    the command line and the clock.
    """
    try:
        row = LocalTicket.objects.select_for_update().get(pk=ticket.pk)
    except LocalTicket.DoesNotExist:
        raise UnknownTicket(f"There is no ticket {ticket.key}.") from None
    if user is not None and not may_change(user, row):
        raise NotYourTicket(
            f"{row.key} is changed by {row.opened_by}, who opened it"
            + (f", by {row.assignee}, to whom it is assigned," if row.assignee else "")
            + " or by an operator: ask one of them, or open a ticket of your own."
        )
    if not row.is_open:
        raise TicketAlreadyClosed(f"{row.key} was closed already; open a new ticket instead.")
    return row


@transaction.atomic
def edit_ticket(
    *,
    ticket: LocalTicket,
    changes: dict[str, Any],
    user: User | None,
    actor: Actor,
    now: dt.datetime,
) -> LocalTicket:
    """Change some of title, description, severity, assignee, service and type; return the row.

    Without a difference nothing is written. `user` is None for the command line only. Raises
    InvalidInput naming the fields, NotYourTicket and TicketAlreadyClosed.
    """
    allowed = {"title", "description", "severity", "assignee", "service", "type"}
    if foreign := set(changes) - allowed:
        raise InvalidInput(
            "These can't be edited: " + ", ".join(sorted(foreign)),
            fields={name: ["Not a field of a ticket."] for name in foreign},
        )
    row = _locked(ticket, user)
    wanted = _checked(changes)
    before = {name: getattr(row, name) for name in wanted if getattr(row, name) != wanted[name]}
    if not before:
        return row
    for name in before:
        setattr(row, name, wanted[name])
    row.updated_at = now
    if before.keys() & READ_BY_POLICY and row.changed_by is not None:
        row.changed_by = list(dict.fromkeys([*row.changed_by, actor.name]))
    row.save(update_fields=[*before, "updated_at", "changed_by"])
    audit.record(
        action="ticket.edited",
        actor=actor,
        now=now,
        subject=_subject(row),
        body={"before": before, "after": {name: wanted[name] for name in before}},
    )
    enqueue_on_commit("jit.workflow.ticket_changed", SYSTEM, row.key)
    return row


@transaction.atomic
def close_ticket(
    *, ticket: LocalTicket, user: User | None, actor: Actor, now: dt.datetime
) -> LocalTicket:
    """Close the ticket; grants that rest on it are looked at at once. Raises NotYourTicket and
    TicketAlreadyClosed.
    """
    row = _locked(ticket, user)
    row.status = Status.CLOSED
    row.closed_at = row.updated_at = now
    row.save(update_fields=["status", "closed_at", "updated_at"])
    audit.record(action="ticket.closed", actor=actor, now=now, subject=_subject(row))
    enqueue_on_commit("jit.workflow.ticket_changed", SYSTEM, row.key)
    return row


def add_comment(
    *, ticket: LocalTicket, text: str, marker: str, actor: Actor, now: dt.datetime
) -> None:
    """Write a comment unless one with this marker stands already, in the caller's transaction."""
    _, is_new = LocalComment.objects.get_or_create(
        ticket=ticket,
        marker=marker,
        defaults={"text": text.replace("\x00", "")[:LONGEST_COMMENT], "created_at": now},
    )
    if is_new:
        audit.record(
            action="ticket.commented",
            actor=actor,
            now=now,
            subject=_subject(ticket),
            body={"marker": marker},
        )
