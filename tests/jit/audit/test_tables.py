"""The tables only grow, whoever asks; and there is always a partition to grow into."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import DatabaseError, connection, transaction

from jit.audit import operations as audit
from jit.audit.models import AuditErasable, AuditEvent
from jit.kernel import clock
from tests.jit.audit.conftest import sign_in

GROWING = ["audit_event", "audit_leaf", "audit_node", "audit_checkpoint"]
FILLED = {
    "audit_leaf": "INSERT INTO audit_leaf VALUES (0, 1, sha256('a'))",
    "audit_node": "INSERT INTO audit_node VALUES (8, 0, sha256('a'))",
    "audit_checkpoint": "INSERT INTO audit_checkpoint "
    "(size, root, frontier, last_txid, last_seq, base_seq, at, vkey, note) "
    "VALUES (0, sha256('a'), '', '1', 0, 0, now(), '', '')",
}
CHANGED = {
    "audit_event": "actor_name = 'otto'",
    "audit_leaf": "seq = 99",
    "audit_node": "hash = sha256('b')",
    "audit_checkpoint": "note = ''",
}


def refused(statement: str, *, because: str) -> None:
    with pytest.raises(DatabaseError, match=because), transaction.atomic():
        run(statement)


def this_month() -> str:
    """Return the partition of today's events; a month ago's is not made in a new installation."""
    return f"audit_event_{clock.now():%Y_%m}"


def run(statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def as_owner(empty_log):
    run("RESET ROLE")
    yield
    run("SET ROLE jit_app")


@pytest.fixture(params=GROWING)
def table(request, empty_log) -> str:
    name: str = request.param
    with transaction.atomic():
        sign_in(number=1, now=clock.now())
        if name in FILLED:
            run(FILLED[name])
    return name


@pytest.mark.usefixtures("empty_log")
class TestTheApplication:
    def test_runs_as_the_role_that_owns_nothing(self):
        assert run("SELECT current_user") == [("jit_app",)]

    def test_may_neither_change_nor_remove_nor_empty(self, table: str):
        for statement in (
            f"UPDATE {table} SET {CHANGED[table]}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
        ):
            refused(statement, because="permission denied")

    def test_may_not_reach_a_partition_past_the_table(self, table: str):
        for partition in (this_month(), "audit_event_default"):
            for statement in (f"SELECT FROM {partition}", f"DELETE FROM {partition}"):
                refused(statement, because="permission denied")

    def test_may_not_choose_an_events_place_or_transaction(self, empty_log):
        names = (
            "id, at, actor_kind, actor_id, actor_name, channel, action, subject_type, "
            "subject_id, target, role, person, body, words"
        )
        values = "gen_random_uuid(), now(), '', '', '', '', '', '', '', '', '', '', '', ''"
        for column, value in (("txid", "'3'"), ("seq", "1")):
            refused(
                f"INSERT INTO audit_event ({names}, {column}) OVERRIDING SYSTEM VALUE "
                f"VALUES ({values}, {value})",
                because="permission denied",
            )
        with transaction.atomic():
            run(f"INSERT INTO audit_event ({names}) VALUES ({values})")

    def test_may_not_switch_the_triggers_off(self, table: str):
        refused(f"ALTER TABLE {table} DISABLE TRIGGER ALL", because="must be owner")


class TestTheOwner:
    def test_is_refused_by_the_trigger(self, table: str, as_owner):
        for statement in (
            f"UPDATE {table} SET {CHANGED[table]}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
        ):
            refused(statement, because="append-only")

    def test_is_refused_at_each_partition_too(self, table: str, as_owner):
        for partition in (this_month(), "audit_event_default"):
            refused(f"TRUNCATE {partition}", because="append-only")
        if table == "audit_event":
            refused(f"DELETE FROM {this_month()}", because="append-only")


class TestErasables:
    def test_can_be_emptied_but_not_rewritten_or_removed(self, empty_log, as_owner):
        with transaction.atomic():
            sign_in(mail=audit.Erasable("rita@example.org", person="7"))
        refused("UPDATE audit_erasable SET value = 'otto@example.org'", because="only be erased")
        refused("UPDATE audit_erasable SET person = '8'", because="only be erased")
        refused("DELETE FROM audit_erasable", because="append-only")
        run("UPDATE audit_erasable SET value = NULL, salt = NULL, erased_at = now()")
        refused(
            "UPDATE audit_erasable SET value = 'x', salt = 'x', erased_at = NULL",
            because="only be erased",
        )
        assert AuditErasable.objects.get().value is None


@pytest.mark.django_db
class TestPartitions:
    def made(self) -> set[str]:
        return {
            str(name)
            for (name,) in run(
                "SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
                "WHERE inhparent = 'audit_event'::regclass"
            )
        }

    def test_are_made_across_the_end_of_a_year_and_only_once(self):
        ensure = "SELECT audit_ensure_partitions(2, '2031-12-31 23:59:59+00')"
        assert run(ensure) == [(3,)]
        new = {"audit_event_2031_12", "audit_event_2032_01", "audit_event_2032_02"}
        assert new <= self.made()
        assert run(ensure) == [(0,)]

    def test_take_the_event_of_the_last_and_of_the_first_microsecond(self):
        run("SELECT audit_ensure_partitions(1, '2031-12-15 00:00:00+00')")
        midnight = dt.datetime(2032, 1, 1, tzinfo=dt.UTC)
        sign_in(now=midnight - dt.timedelta(microseconds=1), number=1)
        sign_in(now=midnight, number=2)
        homes = run(
            "SELECT tableoid::regclass::text FROM audit_event WHERE at >= '2031-12-31' ORDER BY at"
        )
        assert homes == [("audit_event_2031_12",), ("audit_event_2032_01",)]

    def test_follow_utc_whatever_the_sessions_zone(self):
        run("SET LOCAL timezone TO 'Pacific/Auckland'")
        run("SELECT audit_ensure_partitions(0, '2033-03-31 23:30:00+00')")
        assert "audit_event_2033_03" in self.made()
        assert "audit_event_2033_04" not in self.made()

    def test_are_as_closed_as_those_of_the_migration(self):
        run("SELECT audit_ensure_partitions(0, '2034-05-01 00:00:00+00')")
        sign_in(now=dt.datetime(2034, 5, 2, tzinfo=dt.UTC))
        refused("DELETE FROM audit_event_2034_05", because="permission denied")
        run("RESET ROLE")
        refused("DELETE FROM audit_event_2034_05", because="append-only")
        refused("TRUNCATE audit_event_2034_05", because="append-only")
        run("SET ROLE jit_app")

    def test_leave_a_month_to_the_default_one_that_holds_its_events(self):
        far = dt.datetime(2045, 1, 1, tzinfo=dt.UTC)
        sign_in(now=far, number=1)
        assert run("SELECT audit_ensure_partitions(0, '2045-01-10 00:00:00+00')") == [(0,)]
        assert AuditEvent.objects.filter(at=far).count() == 1

    @pytest.mark.parametrize("months", ["-1", "25", "NULL"])
    def test_are_not_made_in_absurd_numbers(self, months: str):
        refused(f"SELECT audit_ensure_partitions({months})", because="0 to 24")


@pytest.mark.django_db
class TestAnEvent:
    def test_has_its_leaf_from_the_database(self):
        from jit.audit.log import leaf_hash

        sign_in(number=1)
        event = AuditEvent.objects.order_by("-seq")[0]
        assert bytes(event.leaf) == leaf_hash(bytes(event.body))
