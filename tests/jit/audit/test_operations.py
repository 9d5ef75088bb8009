"""No event without its change, no change without its event; and only one of two moves wins."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from approvals.states import CHAIN, STEP
from jit.audit import append
from jit.audit import operations as audit
from jit.audit.actions import ACTIONS
from jit.audit.models import AuditErasable, AuditEvent
from jit.audit.operations import Erasable, Links
from jit.elevation.models import ElevationRequest
from jit.elevation.states import GRANT, REQUEST, REVIEW
from jit.identity.models import User
from jit.kernel.actor import CLOCK
from jit.kernel.states import IllegalMove
from tests.jit.audit.conftest import NOW, RITA, SIGN_IN, ask, sign_in

pytestmark = pytest.mark.django_db
LATER = NOW + dt.timedelta(minutes=1)


def of(row: ElevationRequest) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(request_id=row.pk).order_by("seq"))


def approve(row: ElevationRequest, **more: Any) -> None:
    said = {"actor": RITA, "now": NOW, "changes": {"granted_seconds": 300, "closed_at": NOW}}
    audit.transition(row=row, machine=REQUEST, verb="approved", **(said | more))


class TestActions:
    @pytest.mark.parametrize("machine", [REQUEST, GRANT, REVIEW, CHAIN, STEP])
    def test_list_every_move_of_every_machine(self, machine):
        moves = {machine.action(verb) for verb in machine.verbs | {"created"}}
        assert moves <= ACTIONS


class TestRecord:
    def test_writes_the_event_with_what_it_is_found_by(self):
        key = uuid.uuid4()
        audit.record(
            action="grant.lost",
            actor=CLOCK,
            now=NOW,
            subject=audit.Subject(type="grant", id=str(key), label="grant 1"),
            body={"why": "a\0b\ud800"},
            links=Links(grant_id=key, target="orders-db", role="writer", person="rita"),
        )
        event = AuditEvent.objects.get(grant_id=key)
        assert (event.action, event.at, event.channel) == ("grant.lost", NOW, "schedule")
        assert (event.target, event.role, event.person) == ("orders-db", "writer", "rita")
        assert event.content["body"] == {"why": "a\0b\ufffd"}

    def test_refuses_an_action_that_is_not_listed(self):
        with pytest.raises(audit.UnknownAction, match=r"user\.danced"):
            audit.record(action="user.danced", actor=RITA, now=NOW, subject=SIGN_IN)

    def test_is_one_statement(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            sign_in(number=1)

    def test_takes_a_hundred_kilobytes_of_hostile_text_everywhere(self):
        text = "<!channel> \0 \u202e" * 8000
        audit.record(
            action="user.sign-in-failed",
            actor=RITA,
            now=NOW,
            subject=audit.Subject(type="user", id=text, label=text),
            body={"said": text},
        )
        event = AuditEvent.objects.order_by("-seq")[0]
        assert event.content["subject"]["id"] == text


class TestCreated:
    def test_tells_of_the_first_state(self, asked):
        audit.created(row=asked, machine=REQUEST, actor=RITA, now=NOW, body={"why": "stuck"})
        (event,) = of(asked)
        assert event.action == "request.created"
        assert event.content["body"] == {"to": "PENDING", "why": "stuck"}
        assert (event.role, event.target) == ("orders-db-writer", "orders-db")
        assert event.person == "rita"

    def test_refuses_a_state_that_is_not_initial(self, rita, role):
        late = ask(rita, role, state="APPROVED")
        with pytest.raises(ValueError, match="APPROVED is not an initial state"):
            audit.created(row=late, machine=REQUEST, actor=RITA, now=NOW)


class TestTransition:
    def test_moves_the_row_and_tells_of_it(self, asked):
        approve(asked, body={"by": "ada"})
        assert (asked.state, asked.granted_seconds, asked.closed_at) == ("APPROVED", 300, NOW)
        stored = ElevationRequest.objects.get(pk=asked.pk)
        assert (stored.state, stored.granted_seconds) == ("APPROVED", 300)
        (event,) = of(asked)
        assert event.action == "request.approved"
        assert event.subject_type == "request"
        assert event.content["body"] == {"from": "PENDING", "to": "APPROVED", "by": "ada"}

    def test_is_two_statements(self, asked, django_assert_num_queries):
        with django_assert_num_queries(2):
            approve(asked)

    def test_refuses_a_row_that_moved_meanwhile_and_says_what_it_is_now(self, asked):
        stale = ElevationRequest.objects.select_related("role__target", "requester").get(
            pk=asked.pk
        )
        approve(asked)
        with pytest.raises(
            audit.MovedMeanwhile, match="is APPROVED now, no longer PENDING"
        ) as told:
            approve(stale)
        assert told.value.status == 409
        assert stale.state == "PENDING"
        assert [event.action for event in of(asked)] == ["request.approved"]

    def test_refuses_a_row_that_is_gone(self, asked):
        asked.pk = uuid.uuid4()  # as if its row had been deleted
        with pytest.raises(audit.MovedMeanwhile, match="is gone"):
            approve(asked)

    def test_refuses_a_move_that_the_machine_lacks(self, asked):
        approve(asked)
        with pytest.raises(IllegalMove, match="no move 'withdrawn' from APPROVED"):
            audit.transition(row=asked, machine=REQUEST, verb="withdrawn", actor=RITA, now=NOW)
        assert len(of(asked)) == 1

    @pytest.mark.django_db(transaction=True)
    def test_refuses_outside_a_transaction_and_changes_nothing(self, asked):
        with pytest.raises(transaction.TransactionManagementError, match="one transaction"):
            approve(asked)
        asked.refresh_from_db()
        assert asked.state == "PENDING"

    @pytest.mark.django_db(transaction=True)
    def test_takes_the_event_back_with_the_change(self, asked):
        def approve_and_break() -> None:
            with transaction.atomic():
                approve(asked)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            approve_and_break()
        assert of(asked) == []
        asked.refresh_from_db()
        assert asked.state == "PENDING"

    @pytest.mark.django_db(transaction=True)
    def test_takes_the_change_back_with_the_event(self, asked, monkeypatch):
        def full_disk(_events: object) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(append, "append", full_disk)
        with pytest.raises(OSError, match="no space"), transaction.atomic():
            approve(asked)
        asked.refresh_from_db()
        assert asked.state == "PENDING"

    @pytest.mark.django_db(transaction=True)
    def test_lets_one_of_eight_at_one_instant_through(self, asked):
        rows = [
            ElevationRequest.objects.select_related("role__target", "requester").get(pk=asked.pk)
            for _ in range(8)
        ]
        start = threading.Barrier(8)
        outcomes: list[str] = []

        def try_it(row: ElevationRequest) -> None:
            try:
                start.wait(30)
                with transaction.atomic():
                    approve(row)
                outcomes.append("moved")
            except audit.MovedMeanwhile:
                outcomes.append("refused")
            finally:
                connection.close()

        threads = [threading.Thread(target=try_it, args=(row,)) for row in rows]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(outcomes) == ["moved"] + ["refused"] * 7
        assert len(of(asked)) == 1


class TestTransitionMany:
    @pytest.fixture
    def many(self, role) -> list[ElevationRequest]:
        rows = []
        for number in range(6):
            user = User.objects.create(username=f"rita{number}", created_at=NOW)
            rows.append(ask(user, role))
        return rows

    def deny(self, rows: list[ElevationRequest], **more: Any) -> list[ElevationRequest]:
        said = {
            "changes": {
                row.pk: {
                    "closed_at": LATER,
                    "ticket": {"key": f"OPS-{number}", "quote": "'\"{}\\"},
                    "extends": None,
                    "granted_seconds": 100 + number,
                    "approvers": ["user:ada"],
                }
                for number, row in enumerate(rows)
            },
            "bodies": {row.pk: {"number": number} for number, row in enumerate(rows)},
        }
        return audit.transition_many(
            rows=rows, machine=REQUEST, verb="denied", actor=CLOCK, now=LATER, **(said | more)
        )

    def test_moves_each_row_with_its_own_changes_and_event(self, many):
        assert self.deny(many) == many
        for number, row in enumerate(many):
            stored = ElevationRequest.objects.get(pk=row.pk)
            assert (stored.state, row.state) == ("DENIED", "DENIED")
            assert stored.ticket == {"key": f"OPS-{number}", "quote": "'\"{}\\"}
            assert stored.granted_seconds == row.granted_seconds == 100 + number
            assert stored.closed_at == LATER
            (event,) = of(row)
            assert event.action == "request.denied"
            assert event.content["body"] == {
                "from": "PENDING",
                "to": "DENIED",
                "number": number,
            }

    def test_leaves_out_what_moved_meanwhile(self, many):
        faster = ElevationRequest.objects.get(pk=many[2].pk)
        approve(faster)
        moved = self.deny(many)
        assert moved == many[:2] + many[3:]
        assert many[2].state == "PENDING"
        assert [event.action for event in of(many[2])] == ["request.approved"]
        assert ElevationRequest.objects.get(pk=many[2].pk).ticket == {}

    def test_is_two_statements_however_many(self, many, django_assert_num_queries):
        with django_assert_num_queries(2):
            self.deny(many)

    def test_moves_rows_without_other_changes(self, many):
        assert self.deny(many, changes={}, bodies={}) == many

    def test_does_nothing_with_nothing(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert self.deny([]) == []

    def test_refuses_rows_that_change_different_fields(self, many):
        with pytest.raises(ValueError, match="the same fields"):
            self.deny(many, changes={many[0].pk: {"closed_at": LATER}})

    def test_writes_nothing_when_one_move_is_illegal(self, many):
        approve(many[5])
        with pytest.raises(IllegalMove):
            self.deny(many)
        assert not ElevationRequest.objects.filter(state="DENIED").exists()

    @pytest.mark.django_db(transaction=True)
    def test_two_overlapping_calls_neither_deadlock_nor_move_twice(self, many):
        start = threading.Barrier(2)
        moved: list[int] = []

        def try_it(rows: list[ElevationRequest]) -> None:
            try:
                start.wait(30)
                with transaction.atomic():
                    moved.append(len(self.deny(rows)))
            finally:
                connection.close()

        rows = list(ElevationRequest.objects.select_related("role__target", "requester"))
        again = list(ElevationRequest.objects.select_related("role__target", "requester"))
        threads = [
            threading.Thread(target=try_it, args=(rows,)),
            threading.Thread(target=try_it, args=(again[::-1],)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(moved) == [0, 6]


class TestErase:
    def test_forgets_the_value_and_says_so(self):
        sign_in(mail=Erasable("rita@example.org", person=RITA.id))
        sign_in(mail=Erasable("otto@example.org", person="otto's id"))
        assert audit.erase(person=RITA.id, actor=CLOCK, now=LATER) == 1
        mine = AuditErasable.objects.get(person=RITA.id)
        assert (mine.value, mine.salt, mine.erased_at) == (None, None, LATER)
        assert AuditErasable.objects.get(person="otto's id").value == "otto@example.org"
        event = AuditEvent.objects.get(action="audit.erased")
        assert event.content["body"] == {"values": 1}

    def test_is_silent_when_there_is_nothing_to_forget(self):
        assert audit.erase(person=RITA.id, actor=CLOCK, now=LATER) == 0
        assert not AuditEvent.objects.filter(action="audit.erased").exists()


class TestQueryCapture:
    def test_a_batch_of_moves_costs_one_insert(self, rita, role):
        row = ask(rita, role)
        with CaptureQueriesContext(connection) as queries, audit.batch():
            audit.created(row=row, machine=REQUEST, actor=RITA, now=NOW)
            approve(row)
        assert sum("INSERT INTO audit_event" in query["sql"] for query in queries) == 1
        assert [event.action for event in of(row)] == ["request.created", "request.approved"]
