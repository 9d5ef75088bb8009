"""What a person's ticket reference means, and who sees which local ticket."""

from __future__ import annotations

import dataclasses

import pytest

from jit.kernel.errors import InvalidInput
from jit.tickets import operations as tickets
from jit.tickets import queries
from jit.tickets.adapters.base import TicketNotFound, TicketSnapshot, TicketSystemUnavailable
from jit.tickets.adapters.registry import UnknownTicketSystem
from tests.jit.tickets.conftest import NOW, _person

JIRA = {"adapter": "jit.tickets.adapters.jira.Jira", "url": "https://jira.corp.example"}


@pytest.fixture
def two_systems(settings) -> None:
    settings.BASE_URL = "https://jit.corp.example"
    settings.TICKET_SYSTEMS = {
        "local": {"adapter": "jit.tickets.adapters.local.Local"},
        "jira": JIRA,
    }


@pytest.mark.usefixtures("two_systems")
class TestParse:
    @pytest.mark.parametrize(
        ("reference", "meant"),
        [
            ("OPS-1", ("local", "OPS-1")),
            ("  ops-1 ", ("local", "OPS-1")),
            ("PAY-1", ("jira", "PAY-1")),
            ("jira:OPS-1", ("jira", "OPS-1")),
            ("Jira: ops-1", ("jira", "OPS-1")),
            ("https://jira.corp.example/browse/OPS-1", ("jira", "OPS-1")),
            ("https://jit.corp.example/tickets/OPS-1/", ("local", "OPS-1")),
        ],
    )
    def test_finds_the_system_and_the_key(self, reference, meant) -> None:
        assert queries.parse(reference) == meant

    def test_tries_the_default_system_first(self, settings) -> None:
        settings.DEFAULT_TICKET_SYSTEM = "jira"
        assert queries.parse("OPS-1") == ("jira", "OPS-1")

    @pytest.mark.parametrize(
        "hostile",
        [
            "",
            "   ",
            "OPS-1\x00",
            "OPS-1\nOPS-2",
            "OPS-1\u202e",
            "OPS\u200b-1",
            "x" * 100_000,
            "OPS-" + "9" * 250,
            "../../etc/passwd",
            "OPS-1/../OPS-2",
            "local:../OPS-1",
            "https://evil.example/browse/OPS-1",
            "https://jira.corp.example.evil.example/browse/OPS-1",
            "file:///etc/passwd",
            "http://169.254.169.254/latest/meta-data",
            "' OR 1=1 --",
            "\u041ePS-1",
            17,
            None,
            ["OPS-1"],
        ],
    )
    def test_says_what_it_can_not_read(self, hostile) -> None:
        with pytest.raises(queries.NotATicketReference) as refused:
            queries.parse(hostile)
        assert isinstance(refused.value, InvalidInput)
        assert refused.value.fields["ticket"]

    def test_names_the_systems_there_are(self) -> None:
        with pytest.raises(UnknownTicketSystem, match="local, jira"):
            queries.parse("snow:INC1")


class TestFetch:
    def test_a_system_taken_out_of_the_settings_is_one_that_does_not_answer(self) -> None:
        with pytest.raises(TicketSystemUnavailable, match="known are: local"):
            queries.fetch("jira", "PAY-1")


@pytest.mark.django_db
class TestLookUp:
    def test_asks_the_system(self, by_rita) -> None:
        ticket = tickets.open_ticket(title="Stuck", severity=2, actor=by_rita, now=NOW)
        assert queries.look_up(ticket.key).title == "Stuck"

    def test_passes_the_refusal_on(self) -> None:
        with pytest.raises(TicketNotFound):
            queries.look_up("OPS-123456789")

    @pytest.mark.parametrize(
        ("assignee", "known_as"),
        [
            ("RITA@example.com", "rita"),
            ("rita@example.com.evil.example", "rita@example.com.evil.example"),
            ("twins@example.com", "twins@example.com"),
            ("gone@example.com", "gone@example.com"),
            ("bo", "bo"),
            (None, None),
        ],
    )
    def test_knows_the_assignee_by_an_exact_address_only(
        self, rita, monkeypatch, assignee, known_as
    ) -> None:
        for username in ("ada", "bo"):
            person = _person(username)
            person.email = "twins@example.com"
            person.save()
        gone = _person("gone", is_active=False, disabled_at=NOW)
        assert gone.email == "gone@example.com"
        snapshot = TicketSnapshot(
            system="local",
            key="OPS-1",
            url="",
            title="",
            status="Open",
            is_open=True,
            severity=None,
            assignee=assignee,
            service="",
            type="",
            fetched_at=NOW,
        )
        monkeypatch.setattr(
            "jit.tickets.adapters.local.Local.fetch",
            lambda _self, key: dataclasses.replace(snapshot, key=key),
        )
        assert queries.look_up("OPS-1").assignee == known_as


class TestTicketsVisibleTo:
    def test_everybody_active_reads_them_newest_first(self, by_rita, rita) -> None:
        first, second = (
            tickets.open_ticket(title=title, severity=2, actor=by_rita, now=NOW)
            for title in ("Stuck", "Slow")
        )
        assert list(queries.tickets_visible_to(rita)) == [second, first]
        assert queries.ticket_visible_to(rita, first.key) == first

    def test_somebody_disabled_reads_none(self, by_rita, rita) -> None:
        ticket = tickets.open_ticket(title="Stuck", severity=2, actor=by_rita, now=NOW)
        rita.is_active = False
        with pytest.raises(queries.UnknownTicket):
            queries.ticket_visible_to(rita, ticket.key)

    def test_filters_by_state_and_words(self, by_rita, rita) -> None:
        stuck, slow = (
            tickets.open_ticket(title=title, severity=2, actor=by_rita, now=NOW)
            for title in ("Stuck", "Slow")
        )
        tickets.close_ticket(ticket=slow, user=None, actor=by_rita, now=NOW)
        rows = queries.tickets_visible_to(rita)
        assert list(queries.filter_tickets(rows, status="OPEN")) == [stuck]
        assert list(queries.filter_tickets(rows, q="slo")) == [slow]
        assert list(queries.filter_tickets(rows, q=stuck.key)) == [stuck]
        assert list(queries.filter_tickets(rows, q="\x00")) == [slow, stuck]
