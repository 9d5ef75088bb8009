from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.conf import LazySettings

from approvals.models import Chain
from jit.audit.models import AuditEvent
from jit.catalog.queries import UnknownRole
from jit.elevation.models import ElevationRequest, Grant
from jit.kernel import clock
from jit.kernel.errors import InvalidInput
from jit.tickets.adapters.base import TicketNotFound
from jit.workflow import submit
from tests.support.world import ADMIN, READER, WRITER, World


class TestSubmit:
    def test_freezes_ticket_and_ruling_with_the_request(self, world: World) -> None:
        request = world.ask()
        assert request.state == "PENDING"
        assert request.ticket["severity"] == 2
        assert request.ruling["rule"] == WRITER
        assert request.ruling["bundle_digest"]
        assert request.ruling["facts"]["ticket"]["assignee"] == "rita"
        assert request.approvers == ["group:payments-leads"]

    def test_grants_at_once_where_nobody_is_asked(self, world: World) -> None:
        request = world.ask(role=READER)
        assert request.state == "APPROVED"
        assert Grant.objects.get(request=request).state == "SCHEDULED"

    @pytest.mark.parametrize("ticket", ["bos", "sev2"])
    def test_asks_a_lead_when_the_ticket_is_not_mine_and_bad(
        self, world: World, ticket: str
    ) -> None:
        request = world.ask(role=READER, ticket=world.tickets[ticket])
        assert request.state == ("PENDING" if ticket == "bos" else "APPROVED")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("duration_seconds", 0),
            ("duration_seconds", -60),
            ("duration_seconds", 9),
            ("justification", " \n"),
            ("justification", "x" * 4001),
            ("justification", "x" * 100_000),
            ("justification", "nul\0here"),
            ("ticket", ""),
            ("ticket", "../../etc/passwd"),
            ("ticket", "OPS-1\nOPS-2"),
            ("ticket", "x" * 100_000),
            ("role", "  "),
            ("starts_at", dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
            ("starts_at", dt.datetime(2999, 1, 1, tzinfo=dt.UTC)),
            ("starts_at", dt.datetime(2999, 1, 1)),  # noqa: DTZ001
        ],
    )
    def test_refuses_bad_input_naming_the_field_and_writes_nothing(
        self, world: World, field: str, value: Any
    ) -> None:
        before = AuditEvent.objects.count()
        with pytest.raises(InvalidInput) as refused:
            world.ask(**{field: value})
        assert list(refused.value.fields) == [field]
        assert not ElevationRequest.objects.exists()
        assert AuditEvent.objects.count() == before

    def test_keeps_four_thousand_characters_of_hostile_text_whole(self, world: World) -> None:
        text = ("<!channel> *bold* \u202eevil\u2066 <script>alert(1)</script> " * 80)[:4000]
        assert (
            ElevationRequest.objects.get(pk=world.ask(justification=text).pk).justification == text
        )

    def test_refuses_an_unknown_role(self, world: World) -> None:
        with pytest.raises(UnknownRole):
            world.ask(role="orders-db-owner")

    def test_refuses_an_unknown_ticket(self, world: World) -> None:
        with pytest.raises(TicketNotFound):
            world.ask(ticket="OPS-999999")

    def test_refuses_a_closed_ticket_in_the_policys_words(self, world: World) -> None:
        with pytest.raises(submit.NotEligible, match="must be open"):
            world.ask(ticket=world.tickets["closed"])
        assert AuditEvent.objects.filter(action="policy.refused").count() == 1
        assert not ElevationRequest.objects.exists()

    def test_refuses_a_stranger(self, world: World) -> None:
        with pytest.raises(submit.NotEligible, match="payments-sre"):
            world.ask("otto")

    def test_a_known_idempotency_key_returns_the_request_it_made(self, world: World) -> None:
        def send() -> tuple[ElevationRequest, bool]:
            return submit.submit(
                requester=world.user("rita"),
                ask=submit.Ask(
                    role=WRITER,
                    ticket=world.tickets["sev2"],
                    justification="Again.",
                    duration_seconds=60,
                ),
                actor=world.actor("rita"),
                now=clock.now(),
                idempotency_key="k-1",
            )

        (first, new), (second, again) = send(), send()
        assert (new, again) == (True, False)
        assert first.pk == second.pk

    def test_a_change_freeze_lets_only_the_worst_ticket_write(
        self, world: World, settings: LazySettings
    ) -> None:
        settings.CHANGE_FREEZE = True
        with pytest.raises(submit.DeniedByPolicy, match="freeze"):
            world.ask()
        assert world.ask(ticket=world.tickets["sev1"]).state == "PENDING"

    def test_a_missing_policy_refuses(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from jit.policy import queries

        monkeypatch.setattr(queries, "active_digest", lambda: None)
        with pytest.raises(submit.PolicyFailed):
            world.ask()
        assert AuditEvent.objects.filter(action="policy.error").exists()

    def test_a_future_start_is_scheduled(self, world: World) -> None:
        at = clock.now() + dt.timedelta(hours=3)
        request = world.ask(starts_at=at)
        world.decide("ada", request)
        assert Grant.objects.get(request=request).scheduled_for == at

    def test_writes_chain_steps_and_events_in_one_go(self, world: World) -> None:
        request = world.ask(role=ADMIN)
        assert Chain.objects.get(request=request).steps.count() == 2
        events = AuditEvent.objects.filter(request_id=request.pk)
        assert {e.action for e in events} == {
            "request.created",
            "chain.created",
            "step.created",
            "step.opened",
        }
