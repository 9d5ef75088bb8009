"""The built-in tracker behind the Protocol of all ticket systems."""

from __future__ import annotations

import pytest

from jit.tickets import operations as tickets
from jit.tickets.adapters.base import TicketNotFound
from jit.tickets.adapters.local import Local
from jit.tickets.models import LocalComment
from tests.jit.tickets.conftest import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def ticket(by_rita):
    return tickets.open_ticket(
        title="Payments are stuck",
        severity=2,
        assignee="rita",
        service="payments",
        actor=by_rita,
        now=NOW,
    )


@pytest.fixture
def adapter(settings) -> Local:
    settings.BASE_URL = "https://jit.corp.example"
    return Local(name="local")


class TestFetch:
    def test_returns_the_ticket_as_it_is(self, adapter, ticket) -> None:
        snapshot = adapter.fetch(ticket.key)
        assert (snapshot.system, snapshot.key) == ("local", ticket.key)
        assert snapshot.url == f"https://jit.corp.example/tickets/{ticket.key}/"
        assert (snapshot.is_open, snapshot.severity, snapshot.assignee) == (True, 2, "rita")
        assert (snapshot.service, snapshot.type, snapshot.status) == (
            "payments",
            "incident",
            "Open",
        )

    def test_a_closed_ticket_is_not_open(self, adapter, ticket, by_rita) -> None:
        tickets.close_ticket(ticket=ticket, user=None, actor=by_rita, now=NOW)
        assert not adapter.fetch(ticket.key).is_open

    @pytest.mark.parametrize("key", ["OPS-999999999999999999", "OPS-0", "nonsense", ""])
    def test_says_what_it_does_not_know(self, adapter, key) -> None:
        with pytest.raises(TicketNotFound):
            adapter.fetch(key)


class TestComment:
    def test_a_retry_after_a_crash_does_not_repeat_it(self, adapter, ticket) -> None:
        adapter.comment(ticket.key, "active", "jit:1:active")
        adapter.comment(ticket.key, "active", "jit:1:active")
        adapter.comment(ticket.key, "ended", "jit:1:ended")
        assert [row.text for row in LocalComment.objects.all()] == ["active", "ended"]


class TestKeyOf:
    @pytest.mark.parametrize(
        "reference",
        ["OPS-7", "ops-7", "https://jit.corp.example/tickets/OPS-7/?x=1#y"],
    )
    def test_knows_its_own(self, adapter, reference) -> None:
        assert adapter.key_of(reference) == "OPS-7"

    @pytest.mark.parametrize(
        "reference",
        [
            "PAY-7",
            "OPS-07",
            "OPS-7\n",
            "OPS-1/../2",
            "https://jit.corp.example.evil.example/tickets/OPS-7/",
            "https://jit.corp.example/tickets/OPS-7/../OPS-8",
        ],
    )
    def test_knows_no_other(self, adapter, reference) -> None:
        assert adapter.key_of(reference) is None
