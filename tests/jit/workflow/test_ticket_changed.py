from __future__ import annotations

import datetime as dt

import pytest
from django.conf import LazySettings

from jit.kernel import clock
from jit.tickets import operations as tickets
from jit.tickets import queries as ticket_queries
from jit.tickets.adapters.base import TicketSystemUnavailable
from jit.tickets.adapters.local import Local
from jit.workflow import revoke, ticket_changed
from tests.support import people
from tests.support.world import ADMIN, READER, World


def close(world: World, name: str = "sev2") -> str:
    key = world.tickets[name]
    row = ticket_queries.ticket_visible_to(world.user("rita"), key)
    tickets.close_ticket(ticket=row, user=None, actor=people.INSTALLER, now=clock.now())
    return key


class TestTicketChanged:
    def test_a_closed_ticket_ends_a_high_risk_grant_after_notice(self, world: World) -> None:
        grant = world.grant(role=ADMIN)
        key = close(world)
        assert ticket_changed.ticket_changed(system="local", key=key) == 1
        grant.refresh_from_db()
        assert grant.state == "ACTIVE"
        assert grant.revoke_at
        notice = (grant.revoke_at - clock.now()).total_seconds()
        assert 290 < notice <= 300
        assert revoke.revoke_due() == 0

    def test_the_notice_over_the_grant_ends(self, world: World, settings: LazySettings) -> None:
        settings.TICKET_CLOSED_NOTICE = 0
        grant = world.grant(role=ADMIN)
        key = close(world)
        ticket_changed.ticket_changed(system="local", key=key)
        assert revoke.revoke_due() == 1
        grant.refresh_from_db()
        assert (grant.state, grant.end_reason) == ("ENDED", "ticket-closed")

    def test_a_low_risk_grant_goes_on(self, world: World) -> None:
        grant = world.grant(role=READER)
        close(world)
        assert ticket_changed.poll() == 0
        grant.refresh_from_db()
        assert grant.revoke_at is None

    def test_the_poll_finds_what_no_webhook_told(self, world: World) -> None:
        world.grant(role=ADMIN)
        close(world)
        assert ticket_changed.poll() == 1
        assert ticket_changed.poll() == 0

    def test_a_silent_ticket_system_changes_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(_self: Local, _key: str) -> None:
            raise TicketSystemUnavailable("no answer")

        grant = world.grant(role=ADMIN)
        monkeypatch.setattr(Local, "fetch", down)
        assert ticket_changed.poll() == 0
        grant.refresh_from_db()
        assert grant.revoke_at is None

    def test_an_early_end_never_moves_the_end_later(
        self, world: World, settings: LazySettings
    ) -> None:
        settings.TICKET_CLOSED_NOTICE = 10**6
        grant = world.grant(role=ADMIN)
        ticket_changed.ticket_changed(system="local", key=close(world))
        grant.refresh_from_db()
        assert grant.revoke_at == grant.ends_at
        assert grant.ends_at
        assert grant.ends_at < clock.now() + dt.timedelta(hours=1)
