from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from jit.audit.models import AuditEvent
from jit.catalog.models import Target
from jit.connectors.base import Unreachable
from jit.elevation import provisioning, queries
from jit.elevation.models import Grant, GrantAttempt
from jit.identity import operations as identity
from jit.kernel import clock
from jit.kernel.errors import InvalidInput, NotAllowed
from jit.workflow import credential, due, leave, revoke, tasks
from tests.support import people
from tests.support.world import ADMIN, READER, WRITER, World


def reloaded(grant: Grant) -> Grant:
    grant.refresh_from_db()
    return grant


@pytest.fixture
def target_down(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Return a context in which every revocation finds its target unreachable."""

    def down() -> Any:
        context = monkeypatch.context()
        patch = context.__enter__()

        def fail(*, grants: list[Grant], **_more: Any) -> list[Unreachable]:
            return [Unreachable("connection refused") for _ in grants]

        patch.setattr(provisioning, "revoke", fail)
        return context

    return down


class TestRevokeDue:
    def test_is_not_stopped_by_a_claim_that_hangs(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(revoke, "LONGEST_TURN", 0.05)
        grant = world.grant()
        world.due(grant)
        with revoke._claiming:
            assert revoke.revoke_due() == 1
            assert revoke._claiming.locked()  # what another holds is the other's to release
        assert reloaded(grant).state == "ENDED"

    def test_ends_what_has_run_out_with_evidence(self, world: World) -> None:
        grant = world.grant()
        world.due(grant)
        assert revoke.revoke_due() == 1
        grant = reloaded(grant)
        assert (grant.state, grant.end_reason) == ("ENDED", "expired")
        assert grant.revocation_verified_at
        assert grant.evidence["roles_found"] == 0
        assert grant.credential is None
        assert grant.external_name not in world.roles_on_target()

    def test_leaves_what_has_time_left(self, world: World) -> None:
        grant = world.grant()
        assert revoke.revoke_due() == 0
        assert reloaded(grant).state == "ACTIVE"
        assert grant.external_name in world.roles_on_target()

    def test_cuts_the_open_connection_and_refuses_the_old_password(self, world: World) -> None:
        grant = world.grant()
        shown = credential.show(
            grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita")
        )
        with world.log_in(shown) as connection:
            assert connection.execute("SELECT count(*) FROM orders").fetchone() == (5000,)
            world.due(grant)
            revoke.revoke_due()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            world.log_in(shown)

    def test_a_target_that_is_down_is_tried_for_ever(
        self, world: World, target_down: Callable[[], Any]
    ) -> None:
        grant = world.grant()
        world.due(grant)
        down = target_down()
        for tries in range(1, 4):
            Grant.objects.filter(pk=grant.pk).update(
                next_try_at=None if tries == 1 else clock.now()
            )
            assert revoke.revoke_due() == 0
            grant = reloaded(grant)
            assert grant.state == "REVOKING"
            assert grant.tries == tries
            assert grant.last_error == "connection refused"
            assert grant.next_try_at
        down.__exit__(None, None, None)
        Grant.objects.filter(pk=grant.pk).update(next_try_at=clock.now())
        assert revoke.revoke_due() == 1
        assert reloaded(grant).state == "ENDED"

    def test_rings_once_after_a_minute(
        self, world: World, target_down: Callable[[], Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        grant = world.grant()
        world.due(grant)
        down = target_down()
        revoke.revoke_due()
        assert not list(queries.stuck(clock.now(), 60))
        for _ in range(2):
            Grant.objects.filter(pk=grant.pk).update(
                revoking_since=clock.now() - dt.timedelta(seconds=61), next_try_at=clock.now()
            )
            revoke.revoke_due()
        down.__exit__(None, None, None)
        assert (
            AuditEvent.objects.filter(action="grant.revocation-stuck", grant_id=grant.pk).count()
            == 1
        )
        assert [row.pk for row in queries.stuck(clock.now(), 60)] == [grant.pk]
        assert any(
            record.levelname == "ERROR" and "stuck" in record.message for record in caplog.records
        )

    def test_one_failure_does_not_hold_up_the_others(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad, good = world.grant(), world.grant(role=READER)
        world.due(bad, good)
        real = provisioning.revoke

        def one_bad(*, target: Any, grants: list[Grant], now: dt.datetime) -> list[Any]:
            answers = real(target=target, grants=grants, now=now)
            return [
                Unreachable("half down") if grant.pk == bad.pk else answer
                for grant, answer in zip(grants, answers, strict=True)
            ]

        monkeypatch.setattr(provisioning, "revoke", one_bad)
        assert revoke.revoke_due() == 1
        assert reloaded(good).state == "ENDED"
        assert reloaded(bad).state == "REVOKING"

    def test_a_target_that_hangs_holds_no_grant_of_another(self, world: World) -> None:
        """They were claimed together, and leased to whoever waited for the first target."""
        here, there = world.grant(), world.grant(role=READER)
        elsewhere = Target.objects.create(slug="elsewhere", name="Elsewhere", kind="postgresql")
        Grant.objects.filter(pk=there.pk).update(target=elsewhere)
        world.due(here, there)
        first, second = revoke._claim(()), revoke._claim(())
        assert [len(first), len(second)] == [1, 1]
        assert {first[0].pk, second[0].pk} == {here.pk, there.pk}
        assert revoke._claim(()) == []
        assert there.external_name in world.roles_on_target()

    def test_every_call_to_the_target_is_on_record(self, world: World) -> None:
        grant = world.grant()
        world.due(grant)
        revoke.revoke_due()
        steps = GrantAttempt.objects.filter(grant=grant).values_list("step", "ok")
        assert list(steps) == [("provision", True), ("revoke", True)]

    def test_a_lease_of_another_worker_is_respected(self, world: World) -> None:
        grant = world.grant()
        world.due(grant)
        Grant.objects.filter(pk=grant.pk).update(lease_until=clock.now() + dt.timedelta(seconds=9))
        assert revoke.revoke_due() == 0
        Grant.objects.filter(pk=grant.pk).update(lease_until=clock.now())
        assert revoke.revoke_due() == 1

    def test_an_activation_whose_time_ran_out_half_done_is_cleaned_up(self, world: World) -> None:
        """A worker killed between provisioning and commit leaves ACTIVATING behind."""
        grant = world.grant()
        world.due(grant)
        Grant.objects.filter(pk=grant.pk).update(state="ACTIVATING", starts_at=None)
        assert revoke.revoke_due() == 1
        grant = reloaded(grant)
        assert (grant.state, grant.end_reason) == ("ENDED", "activation-failed")
        assert grant.external_name not in world.roles_on_target()


class TestGiveBack:
    def test_ends_ones_own_grant_at_once(self, world: World) -> None:
        grant = world.grant()
        revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
        assert reloaded(grant).state == "REVOKING"
        revoke.revoke_due()
        grant = reloaded(grant)
        assert (grant.state, grant.end_reason) == ("ENDED", "returned")

    def test_twice_is_no_error(self, world: World) -> None:
        grant = world.grant()
        for _ in range(2):
            revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
        assert reloaded(grant).end_reason == "returned"

    def test_is_for_its_holder_alone(self, world: World) -> None:
        grant = world.grant()
        with pytest.raises(revoke.NotYours):
            revoke.give_back(grant_id=grant.pk, user=world.user("ada"), actor=world.actor("ada"))
        assert reloaded(grant).state == "ACTIVE"

    def test_withdraws_a_grant_that_never_started(self, world: World) -> None:
        request = world.ask(starts_at=clock.now() + dt.timedelta(hours=1))
        world.decide("ada", request)
        grant = Grant.objects.get(request=request)
        revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
        assert reloaded(grant).state == "WITHDRAWN"


class TestTakeBack:
    @pytest.mark.parametrize("name", ["olga", "ada", "opal"])
    def test_owners_approvers_and_operators_may(self, world: World, name: str) -> None:
        grant = world.grant()
        revoke.take_back(
            grant_id=grant.pk, user=world.user(name), comment="Enough.", actor=world.actor(name)
        )
        grant = reloaded(grant)
        assert (grant.state, grant.end_reason, grant.end_comment) == (
            "REVOKING",
            "revoked",
            "Enough.",
        )

    @pytest.mark.parametrize("name", ["otto", "udo"])
    def test_nobody_else_may(self, world: World, name: str) -> None:
        grant = world.grant()
        with pytest.raises(NotAllowed, match="approvers and operators"):
            revoke.take_back(
                grant_id=grant.pk, user=world.user(name), comment="x", actor=world.actor(name)
            )
        assert reloaded(grant).state == "ACTIVE"

    def test_needs_a_reason(self, world: World) -> None:
        grant = world.grant()
        with pytest.raises(InvalidInput):
            revoke.take_back(
                grant_id=grant.pk, user=world.user("opal"), comment=" ", actor=world.actor("opal")
            )

    def test_an_ended_grant_says_so(self, world: World) -> None:
        grant = world.grant()
        world.due(grant)
        revoke.revoke_due()
        with pytest.raises(revoke.GrantEnded, match="ENDED"):
            revoke.take_back(
                grant_id=grant.pk, user=world.user("opal"), comment="x", actor=world.actor("opal")
            )


class TestRequesterLeft:
    def test_withdraws_requests_and_revokes_grants_at_once(self, world: World) -> None:
        grant, pending = world.grant(role=READER), world.ask(role=ADMIN)
        identity.disable_user(user=world.user("rita"), actor=people.INSTALLER, now=clock.now())
        user = world.user("rita")
        assert leave.requester_left(user_id=user.pk, actor=people.INSTALLER) == 2
        pending.refresh_from_db()
        assert pending.state == "WITHDRAWN"
        revoke.revoke_due()
        grant = reloaded(grant)
        assert (grant.state, grant.end_reason) == ("ENDED", "requester-left")
        assert grant.external_name not in world.roles_on_target()

    def test_enabling_again_restores_nothing(self, world: World) -> None:
        grant = world.grant()
        identity.disable_user(user=world.user("rita"), actor=people.INSTALLER, now=clock.now())
        leave.requester_left(user_id=grant.user_id, actor=people.INSTALLER)
        revoke.revoke_due()
        identity.enable_user(user=world.user("rita"), actor=people.INSTALLER, now=clock.now())
        revoke.revoke_due()
        assert reloaded(grant).state == "ENDED"


class TestEndingSoon:
    def test_names_each_moment_once(self, world: World) -> None:
        now = clock.now()
        for grant in (world.grant(), world.grant(role=READER)):
            Grant.objects.filter(pk=grant.pk).update(ends_at=now + dt.timedelta(seconds=1))
        ((at, grants),) = due.ending_soon(now, dt.timedelta(seconds=2))
        assert grants == 2
        assert dt.timedelta(0) <= at - now - dt.timedelta(seconds=1) < dt.timedelta(seconds=0.02)

    def test_names_the_last_end_of_each_tenth_of_a_second(self, world: World) -> None:
        second = clock.now().replace(microsecond=0) + dt.timedelta(seconds=10)
        ends = [second + dt.timedelta(milliseconds=ms) for ms in (310, 350, 410)]
        for end, role in zip(ends, (WRITER, READER, ADMIN), strict=True):
            Grant.objects.filter(pk=world.grant(role=role).pk).update(ends_at=end)
        soon = due.ending_soon(second, dt.timedelta(seconds=1))
        assert soon == [(ends[1] + due.PROMPTLY, 2), (ends[2] + due.PROMPTLY, 1)]

    def test_counts_the_early_ends_too(self, world: World) -> None:
        second = clock.now().replace(microsecond=0) + dt.timedelta(seconds=10)
        for grant, changes in (
            (world.grant(), {"ends_at": second}),
            (world.grant(role=READER), {"revoke_at": second}),
        ):
            Grant.objects.filter(pk=grant.pk).update(**changes)
        soon = due.ending_soon(second - dt.timedelta(seconds=1), dt.timedelta(seconds=2))
        assert soon == [(second + due.PROMPTLY, 2)]


class TestSweep:
    @pytest.mark.parametrize(
        ("grants", "hands"), [(1, 1), (revoke.BATCH, 1), (revoke.BATCH + 1, 2), (50_000, 4)]
    )
    def test_calls_a_hand_for_each_batch_that_ends_together(
        self, db: None, monkeypatch: pytest.MonkeyPatch, grants: int, hands: int
    ) -> None:
        called: list[dict[str, Any]] = []
        soon = [(clock.now() + dt.timedelta(seconds=1), grants)]
        monkeypatch.setattr(due, "ending_soon", lambda _now, _within: soon)
        monkeypatch.setattr(tasks.end_due, "apply_async", lambda **how: called.append(how))
        tasks.sweep()
        assert [how["eta"] for how in called] == [soon[0][0]] * hands


class TestSweepOfLeavers:
    def test_a_leaver_whose_hint_was_lost_is_found(self, world: World) -> None:
        grant = world.grant()
        identity.disable_user(user=world.user("rita"), actor=people.INSTALLER, now=clock.now())
        assert leave.sweep() == 1
        assert leave.sweep() == 0
        assert reloaded(grant).end_reason == "requester-left"
