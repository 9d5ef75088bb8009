"""Workers, people and the clock at one grant at one instant."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connections

from jit.audit.models import AuditEvent
from jit.connectors.postgresql import PostgreSQL
from jit.elevation.models import ElevationRequest, Grant
from jit.kernel import clock
from jit.workflow import activate, credential, extend, revoke, tasks
from tests.races.support import at_once


def approved(world: Any, **more: Any) -> Grant:
    request = world.ask(**more)
    world.decide("ada", request)
    return Grant.objects.get(request=request)


def count(grant: Grant, action: str) -> int:
    return AuditEvent.objects.filter(grant_id=grant.pk, action=action).count()


@pytest.fixture
def _clean_target(world: Any) -> Any:
    """Whatever a race leaves, the next test starts without."""
    yield
    Grant.objects.exclude(state__in=["ENDED", "WITHDRAWN"]).update(
        lease_until=None, state="REVOKING", next_try_at=clock.now(), credential=None
    )
    revoke.revoke_due()
    assert world.roles_on_target() == set()


pytestmark = pytest.mark.usefixtures("_clean_target")


class TestActivate:
    def test_by_six_workers_is_one_role(self, world: Any) -> None:
        grant = approved(world)
        answers = at_once([partial(activate.activate, grant_id=grant.pk)] * 6)
        assert answers == [None] * 6
        grant.refresh_from_db()
        assert grant.state == "ACTIVE"
        assert count(grant, "grant.activating") == count(grant, "grant.activated") == 1
        assert grant.attempts.filter(step="provision").count() == 1
        assert world.roles_on_target() == {grant.external_name}


class _Gate:
    """Holds one connector call at its door until the test lets it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        original = getattr(PostgreSQL, name)

        def held(connector: PostgreSQL, spec: Any) -> Any:
            self.reached.set()
            assert self.go_on.wait(30)
            return original(connector, spec)

        monkeypatch.setattr(PostgreSQL, name, held)


def in_thread(act: Any) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(act())
        except Exception as raised:  # noqa: BLE001 -- a refusal is an answer here
            answers.append(raised)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, answers


class TestLateProvision:
    def test_of_a_grant_returned_meanwhile_leaves_nothing(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        grant = approved(world)
        gate = _Gate(monkeypatch, "provision")
        thread, _ = in_thread(partial(activate.activate, grant_id=grant.pk))
        assert gate.reached.wait(30)
        revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
        assert revoke.revoke_due() == 0  # the activation's lease is waited for
        gate.go_on.set()
        thread.join(30)
        assert revoke.revoke_due() == 1
        grant.refresh_from_db()
        assert (grant.state, grant.end_reason) == ("ENDED", "returned")
        assert world.roles_on_target() == set()
        assert count(grant, "grant.activated") == 0

    def test_whose_lease_ran_out_is_undone_by_the_late_worker_itself(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        grant = approved(world)
        gate = _Gate(monkeypatch, "provision")
        thread, _ = in_thread(partial(activate.activate, grant_id=grant.pk))
        assert gate.reached.wait(30)
        revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
        Grant.objects.filter(pk=grant.pk).update(lease_until=clock.now())
        assert revoke.revoke_due() == 1  # nothing was there: ENDED
        gate.go_on.set()
        thread.join(30)
        grant.refresh_from_db()
        assert grant.state == "ENDED"
        assert world.roles_on_target() == set(), "the late worker's role outlives its grant"


class TestRevoke:
    def test_by_everybody_at_once_ends_once(self, world: Any) -> None:
        grant = world.grant()
        shown = credential.show(
            grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita")
        )
        with world.log_in(shown) as connection:
            world.due(grant)
            answers = at_once(
                [revoke.revoke_due] * 4
                + [
                    partial(
                        revoke.give_back,
                        grant_id=grant.pk,
                        user=world.user("rita"),
                        actor=world.actor("rita"),
                    ),
                    tasks.sweep,
                    tasks.end_due,
                ]
            )
            assert not [answer for answer in answers if isinstance(answer, Exception)]
            while revoke.revoke_due():
                pass
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        grant.refresh_from_db()
        assert grant.state == "ENDED"
        assert count(grant, "grant.revoking") == count(grant, "grant.ended") == 1
        assert world.roles_on_target() == set()

    @pytest.mark.parametrize("_again", range(2))
    def test_of_many_by_three_sweeps_ends_each_once(self, world: Any, _again: int) -> None:
        grants = [world.grant(role=role) for role in ("orders-db-reader", "orders-db-writer")]
        world.due(*grants)
        answers = at_once([revoke.revoke_due] * 3)
        assert sum(answers) == len(grants)
        for grant in grants:
            assert count(grant, "grant.ended") == 1
            assert grant.attempts.filter(step="revoke").count() == 1


class TestRenewal:
    def test_of_a_grant_revoked_meanwhile_gives_nothing(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        grant = world.grant()
        show = partial(
            credential.show,
            grant_id=grant.pk,
            user=world.user("rita"),
            actor=world.actor("rita"),
        )
        show()
        gate = _Gate(monkeypatch, "provision")
        thread, answers = in_thread(show)
        assert gate.reached.wait(30)
        revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
        gate.go_on.set()
        thread.join(30)
        assert [type(answer) for answer in answers] == [credential.CredentialNotActive]
        assert revoke.revoke_due() == 1
        assert world.roles_on_target() == set()

    def test_later_than_the_end_is_undone_at_once(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        grant = world.grant()
        show = partial(
            credential.show,
            grant_id=grant.pk,
            user=world.user("rita"),
            actor=world.actor("rita"),
        )
        show()
        gate = _Gate(monkeypatch, "provision")
        thread, answers = in_thread(show)
        assert gate.reached.wait(30)
        revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
        Grant.objects.filter(pk=grant.pk).update(lease_until=clock.now())
        assert revoke.revoke_due() == 1
        gate.go_on.set()
        thread.join(30)
        assert isinstance(
            answers[0], (credential.CredentialNotActive, credential.TargetUnavailable)
        )
        assert world.roles_on_target() == set(), "a renewal revived an ended grant"

    def test_twice_at_once_is_renewed_once(self, world: Any) -> None:
        grant = world.grant()
        show = partial(
            credential.show,
            grant_id=grant.pk,
            user=world.user("rita"),
            actor=world.actor("rita"),
        )
        show()
        answers = at_once([show] * 4)
        shown = [answer for answer in answers if isinstance(answer, dict)]
        busy = [answer for answer in answers if isinstance(answer, credential.CredentialBusy)]
        assert len(shown) + len(busy) == 4, answers
        assert shown
        world.log_in(shown[-1]).close() if len(shown) == 1 else None
        assert count(grant, "grant.credential-shown") == 1 + len(shown)


class TestExtend:
    def extension(self, world: Any, grant: Grant) -> ElevationRequest:
        request = world.ask(extends=grant.pk, duration_seconds=900)
        world.decide("ada", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"
        return request  # type: ignore[no-any-return]

    @pytest.mark.parametrize("_again", range(3))
    def test_by_several_workers_moves_the_end_once_and_never_deadlocks(
        self, world: Any, _again: int
    ) -> None:
        grant = world.grant()
        before = grant.ends_at
        request = self.extension(world, grant)
        answers = at_once([partial(extend.extend, request_id=request.pk)] * 4)
        assert answers == [None] * 4
        extend.extend(request_id=request.pk)
        grant.refresh_from_db()
        assert before is not None
        assert grant.ends_at is not None
        assert (grant.ends_at - before).total_seconds() == 900
        assert count(grant, "grant.extended") == 1

    def test_against_its_end_never_revives_it(self, world: Any) -> None:
        grant = world.grant()
        request = self.extension(world, grant)
        world.due(grant)
        at_once([partial(extend.extend, request_id=request.pk), revoke.revoke_due])
        extend.extend(request_id=request.pk)
        while revoke.revoke_due():
            pass
        grant.refresh_from_db()
        assert grant.state == "ENDED"
        assert count(grant, "grant.extended") == 0
        assert world.roles_on_target() == set()

    def test_held_up_past_its_end_is_revoked_on_time(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        grant = world.grant()
        request = self.extension(world, grant)
        gate = _Gate(monkeypatch, "extend")
        thread, _ = in_thread(partial(extend.extend, request_id=request.pk))
        assert gate.reached.wait(30)
        revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
        gate.go_on.set()
        thread.join(30)
        assert revoke.revoke_due() == 1
        grant.refresh_from_db()
        assert grant.state == "ENDED"
        assert count(grant, "grant.extended") == 0
        assert world.roles_on_target() == set()
