from __future__ import annotations

import datetime as dt

import pytest
from django.conf import LazySettings

from jit.connectors.base import ConnectorError, Refused, Unreachable
from jit.elevation import provisioning
from jit.elevation.models import Grant
from jit.identity import operations as identity
from jit.kernel import clock
from jit.tickets.adapters.base import TicketSystemUnavailable
from jit.tickets.adapters.local import Local
from jit.workflow import activate, revoke
from tests.support import people
from tests.support.world import READER, World


@pytest.fixture
def scheduled(world: World) -> Grant:
    """A grant that policy approved and nobody has activated yet."""
    return Grant.objects.get(request=world.ask(role=READER))


def activated(grant: Grant) -> Grant:
    activate.activate(grant_id=grant.pk)
    grant.refresh_from_db()
    return grant


def failing(monkeypatch: pytest.MonkeyPatch, failure: ConnectorError) -> None:
    def fail(**_call: object) -> None:
        raise failure

    monkeypatch.setattr(provisioning, "provision", fail)


class TestActivate:
    def test_gives_the_privilege_with_its_deadline_on_the_target(
        self, world: World, scheduled: Grant
    ) -> None:
        grant = activated(scheduled)
        assert grant.state == "ACTIVE"
        assert grant.starts_at
        assert grant.ends_at
        assert abs((grant.ends_at - grant.starts_at).total_seconds() - 600) < 5
        with world.cluster.connect("postgres") as connection:
            until = connection.execute(
                "SELECT rolvaliduntil FROM pg_roles WHERE rolname = %s", [grant.external_name]
            ).fetchone()
        assert until is not None
        assert until[0] == grant.ends_at

    def test_activating_twice_makes_one_role(self, world: World, scheduled: Grant) -> None:
        before = world.roles_on_target()
        activated(scheduled)
        activated(scheduled)
        assert world.roles_on_target() - before == {scheduled.external_name}

    def test_a_target_that_is_down_is_tried_again_and_the_requester_sees_why(
        self, scheduled: Grant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            failing(patch, Unreachable("connection refused"))
            grant = activated(scheduled)
        assert grant.state == "ACTIVATING"
        assert grant.last_error == "connection refused"
        assert grant.next_try_at
        assert grant.next_try_at > clock.now() - dt.timedelta(seconds=1)
        assert grant.lease_until is None
        assert activated(grant).state == "ACTIVE"

    def test_a_target_that_says_no_ends_the_grant_and_cleans_up(
        self, scheduled: Grant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            failing(patch, Refused("no such role"))
            grant = activated(scheduled)
        assert (grant.state, grant.end_reason) == ("REVOKING", "activation-failed")
        revoke.revoke_due()
        grant.refresh_from_db()
        assert grant.state == "ENDED"

    def test_a_target_down_until_the_window_ends_gives_up(
        self, scheduled: Grant, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
    ) -> None:
        settings.ACTIVATION_WINDOW = 0
        failing(monkeypatch, Unreachable("down"))
        assert activated(scheduled).end_reason == "activation-failed"

    def test_a_requester_who_left_gets_nothing(self, world: World, scheduled: Grant) -> None:
        identity.disable_user(user=world.user("rita"), actor=people.INSTALLER, now=clock.now())
        grant = activated(scheduled)
        assert (grant.state, grant.end_reason) == ("WITHDRAWN", "requester-left")
        assert grant.external_name not in world.roles_on_target()

    def test_a_stricter_policy_activated_meanwhile_wins(
        self, world: World, scheduled: Grant, settings: LazySettings
    ) -> None:
        """The guardrail of the freeze stands for any new deny."""
        writer = Grant.objects.get(
            request=world.decide("ada", world.ask()).decision.step.chain.request
        )
        settings.CHANGE_FREEZE = True
        grant = activated(writer)
        assert (grant.state, grant.end_reason) == ("WITHDRAWN", "policy")
        assert "freeze" in grant.end_comment

    def test_a_ticket_system_that_is_silent_delays_and_says_so(
        self, world: World, scheduled: Grant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(_self: Local, _key: str) -> None:
            raise TicketSystemUnavailable("no answer")

        with monkeypatch.context() as patch:
            patch.setattr(Local, "fetch", down)
            grant = activated(scheduled)
        assert grant.state == "SCHEDULED"
        assert "ticket system" in grant.waiting_for
        Grant.objects.filter(pk=grant.pk).update(next_try_at=clock.now())
        assert activated(grant).state == "ACTIVE"

    def test_does_not_start_before_its_time(self, world: World) -> None:
        request = world.ask(starts_at=clock.now() + dt.timedelta(hours=1))
        world.decide("ada", request)
        grant = Grant.objects.get(request=request)
        assert activated(grant).state == "SCHEDULED"
        assert grant.pk not in activate.due(clock.now())

    @pytest.mark.parametrize("skew", [2.5, -40.0])
    def test_a_target_whose_clock_is_off_gets_nothing_until_it_is_right(
        self, scheduled: Grant, skew: float
    ) -> None:
        target = scheduled.target
        target.health = {"ok": False, "skew_seconds": skew}
        target.save()
        grant = activated(scheduled)
        assert grant.state == "SCHEDULED"
        assert "clock" in grant.waiting_for
        target.health = {"ok": True, "skew_seconds": 0.1}
        target.save()
        Grant.objects.filter(pk=grant.pk).update(next_try_at=clock.now())
        assert activated(grant).state == "ACTIVE"

    def test_a_lease_keeps_a_second_worker_out(self, scheduled: Grant) -> None:
        Grant.objects.filter(pk=scheduled.pk).update(
            lease_until=clock.now() + dt.timedelta(seconds=30)
        )
        assert activated(scheduled).state == "SCHEDULED"

    def test_a_grant_ended_during_the_call_is_released_to_the_revocation(
        self, world: World, scheduled: Grant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A late provision after a revoke re-creates the access: it must be found."""
        real = provisioning.provision

        def slow(**call: object) -> object:
            issued = real(**call)  # type: ignore[arg-type]  # passed through
            revoke.end_all(
                grants=[scheduled.pk],
                reason=revoke.EndReason.REVOKED,
                comment="while it was being made",
                actor=world.actor("opal"),
            )
            assert revoke.revoke_due() == 0, "the lease of the activation is waited for"
            return issued

        monkeypatch.setattr(provisioning, "provision", slow)
        activated(scheduled)
        assert scheduled.state == "REVOKING"
        assert revoke.revoke_due() == 1
        assert scheduled.external_name not in world.roles_on_target()


class TestBackoff:
    def test_grows_to_half_a_minute_and_stays_there(self) -> None:
        for tries in range(40):
            longest = min(0.5 * 2**tries, 30.0)
            wait = activate.backoff(tries).total_seconds()
            assert longest / 2 <= wait <= longest
