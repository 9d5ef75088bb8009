"""Opening, editing and closing tickets of the built-in tracker."""

from __future__ import annotations

import datetime as dt
from unittest import mock

import pytest
from django.db import connection

from jit.identity import operations as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.kernel.errors import InvalidInput
from jit.tickets import operations as tickets
from jit.tickets import queries
from jit.tickets.models import LocalTicket
from tests.jit.tickets.conftest import NOW, _person
from tests.support import people

LATER = NOW + dt.timedelta(minutes=5)


def events() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT action, subject_id FROM audit_event ORDER BY seq")
        return list(cursor.fetchall())


@pytest.fixture
def ticket(by_rita) -> LocalTicket:
    return tickets.open_ticket(
        title="Payments are stuck", severity=2, assignee="rita", actor=by_rita, now=NOW
    )


@pytest.fixture
def sent():
    with mock.patch("jit.kernel.tasks._send") as send:
        yield send


class TestOpenTicket:
    def test_writes_an_open_ticket_and_its_event(self, ticket) -> None:
        assert ticket.key == f"OPS-{ticket.pk}"
        assert ticket.is_open
        assert ticket.opened_by == "rita"
        assert events() == [("ticket.opened", f"local:{ticket.key}")]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("title", "  "),
            ("title", "x" * 301),
            ("title", "a\x00b"),
            ("description", "x" * 100_000),
            ("severity", 0),
            ("severity", 6),
            ("severity", True),
            ("severity", "2"),
            ("assignee", "nobody-here"),
            ("assignee", "a\x00"),
            ("service", "x" * 101),
            ("type", ""),
        ],
    )
    def test_names_the_field_it_refuses_and_writes_nothing(self, by_rita, field, value) -> None:
        fields = {"title": "Payments are stuck", "severity": 2, field: value}
        with pytest.raises(InvalidInput) as refused:
            tickets.open_ticket(**fields, actor=by_rita, now=NOW)
        assert list(refused.value.fields) == [field]
        assert not LocalTicket.objects.exists()
        assert events() == []


class TestEditTicket:
    def test_writes_what_differs_and_says_what_was_before(
        self, ticket, by_rita, sent, django_capture_on_commit_callbacks
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            row = tickets.edit_ticket(
                ticket=ticket,
                changes={"severity": 1, "title": ticket.title},
                user=None,
                actor=by_rita,
                now=LATER,
            )
        assert (row.severity, row.updated_at) == (1, LATER)
        assert [action for action, _ in events()] == ["ticket.opened", "ticket.edited"]
        assert sent.call_args[0][:2] == ("jit.workflow.ticket_changed", ("local", ticket.key))

    def test_without_a_difference_writes_nothing(self, ticket, by_rita) -> None:
        tickets.edit_ticket(
            ticket=ticket, changes={"severity": 2}, user=None, actor=by_rita, now=LATER
        )
        assert len(events()) == 1

    def test_changes_no_other_field(self, ticket, by_rita) -> None:
        with pytest.raises(InvalidInput, match="status"):
            tickets.edit_ticket(
                ticket=ticket, changes={"status": "CLOSED"}, user=None, actor=by_rita, now=LATER
            )

    def test_refuses_a_closed_ticket(self, ticket, by_rita) -> None:
        tickets.close_ticket(ticket=ticket, user=None, actor=by_rita, now=LATER)
        with pytest.raises(tickets.TicketAlreadyClosed):
            tickets.edit_ticket(
                ticket=ticket, changes={"severity": 1}, user=None, actor=by_rita, now=LATER
            )


class TestCloseTicket:
    def test_closes_and_has_the_grants_looked_at(
        self, ticket, by_rita, sent, django_capture_on_commit_callbacks
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            row = tickets.close_ticket(ticket=ticket, user=None, actor=by_rita, now=LATER)
        assert (row.is_open, row.closed_at) == (False, LATER)
        assert sent.call_args[0][:2] == ("jit.workflow.ticket_changed", ("local", ticket.key))
        assert events()[-1] == ("ticket.closed", f"local:{ticket.key}")

    def test_a_second_click_is_told(self, ticket, by_rita) -> None:
        tickets.close_ticket(ticket=ticket, user=None, actor=by_rita, now=LATER)
        with pytest.raises(tickets.TicketAlreadyClosed) as refused:
            tickets.close_ticket(ticket=ticket, user=None, actor=by_rita, now=LATER)
        assert refused.value.status == 409
        assert len(events()) == 2

    def test_a_ticket_that_was_never_saved_is_unknown(self, by_rita) -> None:
        with pytest.raises(queries.UnknownTicket):
            tickets.close_ticket(ticket=LocalTicket(pk=99), user=None, actor=by_rita, now=LATER)


class TestWhoMayChange:
    """A ticket is closed by whom it concerns: its closing ends other people's grants."""

    @pytest.mark.parametrize("act", ["edit", "close"])
    def test_a_stranger_neither_edits_nor_closes_a_ticket(self, ticket, act) -> None:
        otto = _person("otto")
        with pytest.raises(tickets.NotYourTicket, match="rita, who opened it") as refused:
            attempt(act, ticket, otto)
        assert refused.value.status == 403
        ticket.refresh_from_db()
        assert (ticket.is_open, ticket.severity) == (True, 2)

    @pytest.mark.parametrize("act", ["edit", "close"])
    def test_opener_assignee_and_managers_do(self, rita, by_rita, act) -> None:
        bo, opal = _person("bo"), _person("opal")
        people.group("desk", Permission.TICKET_MANAGE)
        identity.add_member(group=people.group("desk"), user=opal, actor=by_rita, now=NOW)
        for who in (rita, bo, opal):
            row = tickets.open_ticket(title="t", severity=2, assignee="bo", actor=by_rita, now=NOW)
            attempt(act, row, User.objects.get(pk=who.pk))

    def test_who_changed_what_policy_reads_is_kept(self, ticket, rita, by_rita) -> None:
        changes = [{"title": "Another title"}, {"severity": 1}, {"severity": 2}]
        for change in changes:
            tickets.edit_ticket(ticket=ticket, changes=change, user=rita, actor=by_rita, now=LATER)
        ticket.refresh_from_db()
        assert ticket.changed_by == ["rita"]


def attempt(act: str, ticket: LocalTicket, user: User) -> None:
    by = Actor(kind=ActorKind.USER, id=str(user.id), name=user.username, channel=Channel.API)
    if act == "edit":
        tickets.edit_ticket(ticket=ticket, changes={"severity": 1}, user=user, actor=by, now=LATER)
    else:
        tickets.close_ticket(ticket=ticket, user=user, actor=by, now=LATER)
