"""Look a reference up in its ticket system; read the built-in tracker's tickets."""

from __future__ import annotations

import dataclasses
import unicodedata

from django.db.models import Q, QuerySet

from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel.errors import InvalidInput, NotFound
from jit.tickets.adapters import registry
from jit.tickets.adapters.base import TicketSnapshot, TicketSystemUnavailable
from jit.tickets.models import LocalTicket, number_of

LONGEST_REFERENCE = 300


class NotATicketReference(InvalidInput):
    """What was given is neither a key nor an address of a ticket that we can ask for."""


class UnknownTicket(NotFound):
    """The built-in tracker has no ticket of that key."""


def _refused(detail: str) -> NotATicketReference:
    return NotATicketReference(detail, fields={"ticket": [detail]})


def parse(reference: str) -> tuple[str, str]:
    """Return (system, key) of `OPS-1`, `jira:OPS-1` or a pasted address. Asks nobody.

    A bare key goes to the default system, or to the first other one whose keys look like it.
    Raises NotATicketReference and UnknownTicketSystem.
    """
    if not isinstance(reference, str):
        raise _refused("Give the ticket as text: its key, or its address.")
    if len(reference) > LONGEST_REFERENCE:
        raise _refused(f"A ticket's key or address has at most {LONGEST_REFERENCE} characters.")
    text = reference.strip()
    if not text:
        raise _refused("Name the ticket this is for: its key, or its address.")
    if any(unicodedata.category(character)[0] == "C" for character in text):
        raise _refused("The ticket reference holds invisible or control characters; type it.")
    is_address = "://" in text
    candidates = registry.names()
    if not is_address and ":" in text:
        name, text = (part.strip() for part in text.split(":", 1))
        candidates = [registry.system(name.lower()).name]
    for name in candidates:
        key = registry.system(name).key_of(text)
        if key is not None:
            return name, key
    if is_address:
        raise _refused(
            "This address belongs to none of the ticket systems that are asked here. "
            "Paste the ticket's own page, or its key."
        )
    raise _refused("This does not look like a ticket's key. Write it as in OPS-1.")


def _as_our_username(assignee: str | None) -> str | None:
    """Return the username behind an e-mail address that exactly one active person has; else
    what was given. An address is matched whole, never by its beginning.
    """
    if assignee is None or "@" not in assignee:
        return assignee
    person = identity.user_by_email(assignee)
    return person.username if person else assignee


def fetch(system: str, key: str) -> TicketSnapshot:
    """Return the ticket as it is now, its people as our usernames where they are ours.

    This is how a ticket that is on record is asked for again. Never inside a transaction: it
    may wait for another machine. Raises TicketNotFound, TicketForbidden and
    TicketSystemUnavailable, which a system that was taken out of the settings is too.
    """
    try:
        adapter = registry.system(system)
    except registry.UnknownTicketSystem as gone:
        raise TicketSystemUnavailable(gone.detail, extra={"system": system}) from gone
    snapshot = adapter.fetch(key)
    changed_by = snapshot.changed_by
    return dataclasses.replace(
        snapshot,
        assignee=_as_our_username(snapshot.assignee),
        opened_by=_as_our_username(snapshot.opened_by),
        changed_by=None
        if changed_by is None
        else tuple(dict.fromkeys(_as_our_username(who) or "" for who in changed_by)),
    )


def look_up(reference: str) -> TicketSnapshot:
    """Return the ticket that a person's reference means, as it is now; raises what `parse`
    and `fetch` raise.
    """
    return fetch(*parse(reference))


def tickets_visible_to(user: User) -> QuerySet[LocalTicket]:
    """Return the built-in tracker's tickets, newest first: everybody active may read them."""
    return LocalTicket.objects.all() if user.is_active else LocalTicket.objects.none()


def ticket_visible_to(user: User, key: str) -> LocalTicket:
    """Return the ticket called `key`, or raise UnknownTicket (404)."""
    ticket = tickets_visible_to(user).filter(pk=number_of(key)).first()
    if ticket is None:
        raise UnknownTicket(f"There is no ticket {key[:40]} in the built-in tracker.")
    return ticket


def may_change(user: User, ticket: LocalTicket) -> bool:
    """Return whether `user` may edit and close the ticket: whoever opened it, to whom it is
    assigned (also under another account of theirs), and holders of `ticket:manage`.
    """
    if permissions.has(user, Permission.TICKET_MANAGE):
        return True
    theirs = {one.username for one in identity.accounts_of_person(user)}
    return user.is_active and bool(theirs & {ticket.opened_by, ticket.assignee})


def filter_tickets(
    rows: QuerySet[LocalTicket], *, status: str = "", q: str = ""
) -> QuerySet[LocalTicket]:
    """Return the rows of this status (`OPEN`, `CLOSED`) that `q` is in: key, title, assignee
    or service.
    """
    if status:
        rows = rows.filter(status=status)
    q = q.replace("\x00", "").strip()[:LONGEST_REFERENCE]
    if q:
        found = Q(title__icontains=q) | Q(assignee__iexact=q) | Q(service__iexact=q)
        number = number_of(q)
        rows = rows.filter(found | Q(pk=number) if number else found)
    return rows
