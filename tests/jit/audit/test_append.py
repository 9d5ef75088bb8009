"""A batch writes once, and never loses or invents an event."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from jit.audit import operations as audit
from jit.audit.models import AuditErasable, AuditEvent
from jit.audit.operations import Erasable
from tests.jit.audit.conftest import sign_in


class Broken(Exception):
    pass


def numbers() -> list[int]:
    return [event.content["body"]["number"] for event in AuditEvent.objects.order_by("seq")]


@pytest.mark.usefixtures("empty_log")
class TestAppend:
    def test_refuses_outside_a_transaction(self):
        with pytest.raises(transaction.TransactionManagementError, match="in the transaction"):
            sign_in(number=1)
        assert numbers() == []

    def test_leaves_nothing_when_the_transaction_fails(self):
        def sign_in_and_break() -> None:
            with transaction.atomic():
                sign_in(number=1)
                raise Broken

        with pytest.raises(Broken):
            sign_in_and_break()
        assert numbers() == []


@pytest.mark.usefixtures("empty_log")
class TestBatch:
    def test_writes_all_events_in_their_order_in_one_statement(self):
        with (
            CaptureQueriesContext(
                connection,
            ) as queries,
            audit.batch(),
        ):
            for number in range(5):
                sign_in(number=number)
        statements = [query["sql"] for query in queries if "audit_event" in query["sql"]]
        assert len(statements) == 1
        assert numbers() == [0, 1, 2, 3, 4]

    def test_writes_more_than_one_statement_holds(self):
        with audit.batch():
            for number in range(1002):
                sign_in(number=number)
        assert numbers() == list(range(1002))

    def test_writes_before_the_commit_of_the_transaction_it_joins(self):
        def sign_in_and_break() -> None:
            with transaction.atomic():
                with audit.batch():
                    sign_in(number=1)
                assert numbers() == [1]
                raise Broken

        with pytest.raises(Broken):
            sign_in_and_break()
        assert numbers() == []

    @pytest.mark.django_db(transaction=True)
    def test_takes_the_changes_along_when_an_error_drops_its_events(self, rita):
        def rename_then_break() -> None:
            with audit.batch():
                type(rita).objects.filter(pk=rita.pk).update(display_name="Rita R.")
                sign_in(number=1)
                raise Broken

        with transaction.atomic():
            with pytest.raises(Broken):
                rename_then_break()
            assert connection.needs_rollback
            transaction.set_rollback(False)  # to look: nothing was written
            assert numbers() == []
            transaction.set_rollback(True)
        rita.refresh_from_db()
        assert rita.display_name == ""

    def test_drops_the_events_of_a_savepoint_that_rolled_back_and_no_others(self):
        def inner() -> None:
            with transaction.atomic():
                sign_in(number=2)
                with transaction.atomic():
                    sign_in(number=3)
                raise Broken

        with audit.batch():
            sign_in(number=1)
            with pytest.raises(Broken):
                inner()
            with transaction.atomic():
                sign_in(number=4)
            sign_in(number=5)
        assert numbers() == [1, 4, 5]

    def test_leaves_the_callbacks_of_others_alone(self):
        called: list[str] = []
        with audit.batch():
            transaction.on_commit(lambda: called.append("before"))
            sign_in(number=1)
            transaction.on_commit(lambda: called.append("after"))
        assert called == ["before", "after"]

    def test_joins_the_batch_it_is_in(self):
        with CaptureQueriesContext(connection) as queries, audit.batch():
            sign_in(number=1)
            with audit.batch():
                sign_in(number=2)
            sign_in(number=3)
        assert sum("INSERT INTO audit_event" in query["sql"] for query in queries) == 1
        assert numbers() == [1, 2, 3]

    def test_is_over_after_an_error(self):
        with pytest.raises(Broken), audit.batch():
            raise Broken
        with transaction.atomic():
            sign_in(number=7)
            assert numbers() == [7]

    def test_keeps_erasable_values_beside_the_log(self):
        with audit.batch():
            sign_in(number=1, mail=Erasable("rita@example.org", person="7"))
            sign_in(number=2, mail=Erasable("rita@example.com", person="7"))
        assert set(AuditErasable.objects.values_list("value", flat=True)) == {
            "rita@example.org",
            "rita@example.com",
        }
