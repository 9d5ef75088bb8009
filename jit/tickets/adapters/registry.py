"""Which ticket systems this installation asks: `settings.TICKET_SYSTEMS`, made into adapters."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from jit.kernel.errors import InvalidInput
from jit.tickets.adapters.base import TicketSystem


class UnknownTicketSystem(InvalidInput):
    """The reference names a ticket system that this installation does not ask."""


def system(name: str) -> TicketSystem:
    """Return the adapter called `name`, made from its settings.

    Raises UnknownTicketSystem; ImportError or TypeError for settings that can't be run with,
    which `jit.ops.checks` reports at start.
    """
    if name not in settings.TICKET_SYSTEMS:
        known = ", ".join(settings.TICKET_SYSTEMS)
        raise UnknownTicketSystem(
            f"There is no ticket system called {name[:40]!r} here; known are: {known}.",
            fields={"ticket": [f"Use a ticket of one of: {known}."]},
        )
    options = dict(settings.TICKET_SYSTEMS[name])
    adapter = import_string(options.pop("adapter"))
    return cast("TicketSystem", adapter(name=name, **options))


def names() -> list[str]:
    """Return the systems' names in the order in which a bare key is tried: the default first."""
    default = settings.DEFAULT_TICKET_SYSTEM
    return sorted(settings.TICKET_SYSTEMS, key=lambda name: (name != default, name))
