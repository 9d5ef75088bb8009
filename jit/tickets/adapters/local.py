"""The built-in tracker as a ticket system: it is in our own database, so it always answers."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from jit.kernel import clock
from jit.kernel.actor import CLOCK
from jit.tickets import operations
from jit.tickets.adapters.base import TicketNotFound, TicketSnapshot
from jit.tickets.models import PREFIX, LocalTicket, number_of


class Local:
    """Answers from `LocalTicket`; addresses are our own `/tickets/OPS-1/`."""

    def __init__(self, *, name: str) -> None:
        self.name = name
        self._prefix = f"{settings.BASE_URL.rstrip('/')}/tickets/"

    def key_of(self, reference: str) -> str | None:
        path = reference.removeprefix(self._prefix)
        if path != reference:
            reference = path.split("?", 1)[0].split("#", 1)[0].rstrip("/")
        number = number_of(reference)
        return f"{PREFIX}-{number}" if number else None

    def _ticket(self, key: str) -> LocalTicket:
        ticket = LocalTicket.objects.filter(pk=number_of(key)).first()
        if ticket is None:
            raise TicketNotFound(f"There is no ticket {key[:40]}: open it first, or check the key.")
        return ticket

    def fetch(self, key: str) -> TicketSnapshot:
        ticket = self._ticket(key)
        return TicketSnapshot(
            system=self.name,
            key=ticket.key,
            url=f"{self._prefix}{ticket.key}/",
            title=ticket.title,
            status=ticket.get_status_display(),
            is_open=ticket.is_open,
            severity=ticket.severity,
            assignee=ticket.assignee or None,
            service=ticket.service,
            type=ticket.type,
            fetched_at=clock.now(),
            opened_by=ticket.opened_by,
            opened_at=ticket.created_at,
            changed_by=None if ticket.changed_by is None else tuple(ticket.changed_by),
        )

    def comment(self, key: str, text: str, marker: str) -> None:
        ticket = self._ticket(key)
        with transaction.atomic():
            operations.add_comment(
                ticket=ticket, text=text, marker=marker, actor=CLOCK, now=clock.now()
            )
