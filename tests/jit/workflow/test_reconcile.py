from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from jit.audit.models import AuditEvent
from jit.catalog.models import Target
from jit.connectors.base import ConnectorError, Refused, Unreachable
from jit.elevation import provisioning, queries
from jit.elevation.models import Grant, Orphan
from jit.kernel import clock
from jit.notifications import wording
from jit.notifications.kinds import Kind
from jit.notifications.models import Notification
from jit.workflow import reconcile, revoke
from tests.support.world import World


def make(connection: psycopg.Connection[Any], name: str) -> None:
    """Make a role as our service account does: by one of its makers."""
    connection.execute("SET ROLE privilege_broker_maker_1")
    connection.execute(f'CREATE ROLE "{name}" LOGIN')
    connection.execute("RESET ROLE")


@pytest.fixture
def stray(world: World) -> Iterator[str]:
    """A role under our mark that no grant ever accounted for."""
    name = "jit_0123456789abcdef0123456789abcdef"
    with world.cluster.connect("postgres") as connection:
        make(connection, name)
        yield name
        connection.execute(f'DROP ROLE IF EXISTS "{name}"')


def failing(error: ConnectorError) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def target() -> Target:
    return Target.objects.get(slug="orders-db")


class TestReconcile:
    def test_finds_nothing_where_books_and_target_agree(self, world: World) -> None:
        world.grant()
        others = world.roles_on_target() - set(
            Grant.objects.values_list("external_name", flat=True)
        )
        reconcile.reconcile(target=target())
        assert Orphan.objects.count() == len(others)

    def test_reports_privilege_that_was_never_ours_and_removes_it_on_an_operators_word(
        self, world: World, stray: str
    ) -> None:
        reconcile.reconcile(target=target())
        reconcile.reconcile(target=target())
        orphan = queries.open_orphans().get(external_name=stray)
        assert stray in world.roles_on_target()
        assert AuditEvent.objects.filter(action="orphan.found", subject_id=stray).count() == 1
        reconcile.remove(orphan_id=orphan.pk, actor=world.actor("opal"))
        assert stray not in world.roles_on_target()
        with pytest.raises(reconcile.OrphanGone):
            reconcile.remove(orphan_id=orphan.pk, actor=world.actor("opal"))

    def test_removes_what_a_late_call_made_again_after_the_end(self, world: World) -> None:
        grant = world.grant()
        world.due(grant)
        revoke.revoke_due()
        with world.cluster.connect("postgres") as connection:
            make(connection, grant.external_name)
        reconcile.reconcile(target=target())
        assert grant.external_name not in world.roles_on_target()
        assert Orphan.objects.get(external_name=grant.external_name).resolution == "removed"

    def test_reports_a_grant_that_the_target_lost_and_never_makes_it_again(
        self, world: World
    ) -> None:
        grant = world.grant()
        Grant.objects.filter(pk=grant.pk).update(
            provisioned_at=clock.now() - dt.timedelta(minutes=1)
        )
        with world.cluster.connect("orders") as connection:
            connection.execute(f'DROP ROLE "{grant.external_name}"')
        assert reconcile.reconcile(target=target()) >= 1
        grant.refresh_from_db()
        assert grant.lost_at
        assert AuditEvent.objects.filter(action="grant.lost", grant_id=grant.pk).count() == 1
        reconcile.reconcile(target=target())
        assert grant.external_name not in world.roles_on_target()
        assert AuditEvent.objects.filter(action="grant.lost", grant_id=grant.pk).count() == 1

    def test_an_orphan_that_vanished_is_closed(self, world: World, stray: str) -> None:
        reconcile.reconcile(target=target())
        with world.cluster.connect("postgres") as connection:
            connection.execute(f'DROP ROLE "{stray}"')
        reconcile.reconcile(target=target())
        assert Orphan.objects.get(external_name=stray).resolution == "vanished"


class TestSuspend:
    """After the restore of an older dump: the target knows a grant that the database forgot."""

    @staticmethod
    def can_log_in(world: World, name: str) -> bool:
        with world.cluster.connect("postgres") as connection:
            row = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [name])
            return row.fetchone() == (True,)

    def test_a_live_role_that_the_database_forgot_lets_nobody_in(self, world: World) -> None:
        grant = world.grant()
        name = grant.external_name
        session = world.log_in(provisioning.open_credential(grant))
        Grant.objects.filter(pk=grant.pk).update(external_name=f"jit_{'0' * 32}")
        reconcile.reconcile(target=target())
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        session.close()
        assert name in world.roles_on_target()
        assert not self.can_log_in(world, name)
        orphan = queries.open_orphans().get(external_name=name)
        assert orphan.seen["connections_cut"] == 1
        assert orphan.seen["suspended_at"]
        reconcile.reconcile(target=target())
        events = AuditEvent.objects.filter(action="orphan.suspended", subject_id=name)
        assert events.count() == 1

    def forgotten(self, world: World) -> str:
        """Return the name of a live role whose grant the database knows no more."""
        grant = world.grant()
        Grant.objects.filter(pk=grant.pk).update(external_name=f"jit_{'0' * 32}")
        return grant.external_name

    def test_operators_are_told_once_of_a_role_that_was_suspended_after_a_restore(
        self, world: World
    ) -> None:
        name = self.forgotten(world)
        for _ in range(2):
            reconcile.reconcile(target=target())
        rows = Notification.objects.filter(subject_id=name, channel="in_app")
        assert "rita" not in {row.recipient.username for row in rows if row.recipient}
        told = rows.get(recipient__username="opal")
        words = wording.words(Kind.ORPHAN, told.payload, wording.Reader())
        assert words.title == f"{name} on orders-db was suspended: no grant accounts for it"
        assert words.link.endswith("/grants/")
        orphan = queries.open_orphans().get(external_name=name)
        reconcile.remove(orphan_id=orphan.pk, actor=world.actor("opal"))
        told.refresh_from_db()
        assert told.read_at

    def test_operators_are_told_of_one_that_could_not_be_suspended(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = self.forgotten(world)
        with monkeypatch.context() as patch:
            patch.setattr(provisioning, "suspend", failing(Refused("can't be")))
            reconcile.reconcile(target=target())
        rows = Notification.objects.filter(
            subject_id=name, channel="in_app", recipient__username="opal"
        )
        words = wording.words(Kind.ORPHAN, rows.get().payload, wording.Reader())
        assert words.title.startswith(f"{name} on orders-db may be in use")
        assert ("Error", "can't be") in words.facts
        reconcile.reconcile(target=target())  # by now it can be
        assert not self.can_log_in(world, name)
        assert rows.count() == 2

    def test_what_a_failed_removal_cut_is_in_the_final_evidence(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = self.forgotten(world)
        reconcile.reconcile(target=target())
        orphan = queries.open_orphans().get(external_name=name)
        opal = world.actor("opal")
        cut = {"connections_cut": 3, "suspicious": ["a table"]}
        with monkeypatch.context() as patch:
            answer = Unreachable("gone meanwhile", evidence=cut)
            patch.setattr(provisioning, "revoke_unknown", lambda **_: answer)
            with pytest.raises(reconcile.OrphanRemains):
                reconcile.remove(orphan_id=orphan.pk, actor=opal)
        reconcile.remove(orphan_id=orphan.pk, actor=opal)
        (event,) = AuditEvent.objects.filter(action="orphan.removed", subject_id=name)
        evidence = event.content["body"]["evidence"]
        assert evidence["connections_cut"] == 3
        assert "a table" in evidence["suspicious"]

    @pytest.mark.parametrize("state", ["ACTIVATING", "REVOKING"])
    def test_a_role_that_is_being_given_or_ended_is_left_alone(
        self, world: World, state: str
    ) -> None:
        grant = world.grant()
        Grant.objects.filter(pk=grant.pk).update(state=state)
        reconcile.reconcile(target=target())
        assert self.can_log_in(world, grant.external_name)

    def test_a_role_without_our_mark_is_only_reported(self, world: World, stray: str) -> None:
        reconcile.reconcile(target=target())
        assert self.can_log_in(world, stray)
