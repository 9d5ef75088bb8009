"""What changes between the yes and the privilege: both doors show it, nothing is given quietly."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from approvals.models import Decision
from jit.audit.models import AuditEvent
from jit.catalog.models import Role, Target
from jit.connectors.base import Unreachable
from jit.elevation import provisioning
from jit.elevation.models import ElevationRequest
from jit.identity import operations as identity
from jit.kernel import clock
from tests.approvals.doors import DONE, Door, activated, leave
from tests.approvals.stricter import put_in_force
from tests.support import people
from tests.support.world import World


@pytest.fixture
def pending(world: World) -> ElevationRequest:
    return world.ask()


def ended(request: ElevationRequest) -> tuple[str, str]:
    grant = activated(request)
    return str(grant.state), str(grant.end_reason)


class TestNothingIsGiven:
    def test_after_a_stricter_policy_came_into_force(
        self, world: World, door: Door, pending: ElevationRequest
    ) -> None:
        before = pending.ruling["bundle_digest"]
        now = put_in_force(world, message="No more writing here.")
        assert door("ada", pending)[0] in DONE, "the ruling of its day stands for the chain"
        assert ended(pending) == ("WITHDRAWN", "policy")
        assert "No more writing here." in door.reads("rita", pending)
        event = AuditEvent.objects.get(action="policy.refused", request_id=pending.pk)
        pending.refresh_from_db()
        assert (pending.ruling["bundle_digest"], event.content["body"]["bundle_digest"]) == (
            before,
            now,
        )

    def test_of_a_role_that_was_retired(
        self, door: Door, pending: ElevationRequest, world: World
    ) -> None:
        Role.objects.filter(pk=pending.role_id).update(enabled=False)
        assert door("ada", pending)[0] in DONE
        assert ended(pending)[0] == "WITHDRAWN"
        assert "no longer in the catalogue" in door.reads("rita", pending)

    def test_for_a_ticket_that_was_closed(
        self, door: Door, pending: ElevationRequest, world: World
    ) -> None:
        closed = world.api("rita").post(f"tickets/{world.tickets['sev2']}/close/")
        assert closed.status_code == 200
        assert door("ada", pending)[0] in DONE
        assert ended(pending) == ("WITHDRAWN", "ticket-closed")
        assert f"{world.tickets['sev2']} is closed" in door.reads("rita", pending)

    def test_to_who_lost_the_group(
        self, world: World, door: Door, pending: ElevationRequest
    ) -> None:
        assert door("ada", pending)[0] in DONE
        leave(world, "rita", group="payments-sre")
        assert ended(pending) == ("WITHDRAWN", "policy")
        assert "Only payments-sre and payments-leads" in door.reads("rita", pending)

    def test_to_who_left(self, world: World, door: Door, pending: ElevationRequest) -> None:
        identity.disable_user(user=world.user("rita"), actor=people.INSTALLER, now=clock.now())
        status, words = door("ada", pending)
        assert status == 409
        assert "The account of rita is disabled" in words
        assert not Decision.objects.exists()


class TestNotYet:
    def test_before_its_start(self, world: World, door: Door) -> None:
        starts_at = clock.now() + dt.timedelta(hours=3)
        request = world.ask(starts_at=starts_at)
        assert door("ada", request)[0] in DONE
        assert activated(request).state == "SCHEDULED"
        # Of another day, a page says the day and no seconds: after 21:00 that is this moment.
        assert f"{starts_at:%H:%M}" in door.reads("rita", request)

    def test_while_the_targets_clock_is_off(
        self, world: World, door: Door, pending: ElevationRequest
    ) -> None:
        Target.objects.update(health={"ok": False, "skew_seconds": 2.5})
        assert door("ada", pending)[0] in DONE
        assert activated(pending).state == "SCHEDULED"
        assert "clock" in door.reads("rita", pending)

    def test_while_the_target_is_down(
        self,
        world: World,
        door: Door,
        pending: ElevationRequest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def down(**_call: Any) -> None:
            raise Unreachable("connection refused")

        assert door("ada", pending)[0] in DONE
        monkeypatch.setattr(provisioning, "provision", down)
        grant = activated(pending)
        assert grant.state == "ACTIVATING"
        assert "connection refused" in door.reads("rita", pending)
