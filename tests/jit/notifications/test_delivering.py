from __future__ import annotations

import datetime as dt
import threading
from typing import Any, ClassVar

import pytest
from django.conf import LazySettings
from django.db import connection, transaction

from jit.identity import operations as identity
from jit.identity.models import User
from jit.kernel import backends, clock, db
from jit.notifications import delivering, operations, queries, tasks
from jit.notifications.channels.base import DeliveryFailed, Note
from jit.notifications.kinds import Kind
from jit.notifications.models import Notification, Outcome, WebhookEndpoint
from jit.notifications.operations import clearing
from tests.jit.notifications.conftest import SUBJECT, later, tell
from tests.support import people


class Scripted:
    """A channel that answers as it is told, and remembers what it was handed."""

    script: ClassVar[list[BaseException | None]] = []
    handed: ClassVar[list[Note]] = []

    def deliver(self, note: Note) -> str:
        self.handed.append(note)
        answer = self.script.pop(0) if self.script else None
        if answer is not None:
            raise answer
        return f"receipt-{len(self.handed)}"


@pytest.fixture
def scripted(settings: LazySettings) -> type[Scripted]:
    Scripted.script, Scripted.handed = [], []
    here = f"{Scripted.__module__}.Scripted"
    settings.NOTIFICATION_CHANNELS = {**settings.NOTIFICATION_CHANNELS, "pigeon": here}
    backends._instance.cache_clear()
    return Scripted


def pigeon(**wanted: Any) -> Notification:
    return Notification.objects.get(channel="pigeon", **wanted)


class TestDeliverLane:
    def test_settles_what_arrived(self, ada: User, scripted: type[Scripted]) -> None:
        tell(ada)
        assert delivering.deliver_lane("pigeon") == 1
        row = pigeon()
        assert (row.outcome, row.receipt, row.tries, row.lease_until) == (
            Outcome.DELIVERED,
            "receipt-1",
            1,
            None,
        )
        assert row.settled_at
        assert delivering.deliver_lane("pigeon") == 0
        assert scripted.handed[0].attempt == 1
        assert scripted.handed[0].recipient == ada

    def test_tells_a_person_of_one_thing_in_its_order(
        self, ada: User, bo: User, scripted: type[Scripted]
    ) -> None:
        scripted.script = [DeliveryFailed("busy")]
        tell(ada, kind=Kind.DECIDED, key="first")
        tell(ada, kind=Kind.ACTIVE, key="second")
        tell(bo, kind=Kind.ACTIVE, key="second")
        delivering.deliver_lane("pigeon")
        assert [(note.recipient, note.key) for note in scripted.handed] == [
            (ada, "first"),
            (bo, "second"),
        ]
        assert delivering.deliver_lane("pigeon") == 0
        later(pigeon(key="first"), seconds=60)
        assert delivering.deliver_lane("pigeon") == 2
        assert [note.key for note in scripted.handed[2:]] == ["first", "second"]
        assert pigeon(recipient=ada, key="second").tries == 1

    def test_does_not_hold_back_for_ever(self, ada: User, scripted: type[Scripted]) -> None:
        scripted.script = [DeliveryFailed("busy")]
        tell(ada, key="first")
        delivering.deliver_lane("pigeon")
        stuck = Notification.objects.filter(channel="pigeon", key="first")
        stuck.update(
            created_at=db.now() - delivering.IN_ORDER, next_try_at=db.now() + dt.timedelta(hours=1)
        )
        tell(ada, key="second")
        assert delivering.deliver_lane("pigeon") == 1
        assert scripted.handed[-1].key == "second"

    def test_waits_its_turn_without_having_failed(
        self, ada: User, scripted: type[Scripted]
    ) -> None:
        scripted.script = [DeliveryFailed("one a second", paced=True)]
        tell(ada)
        assert delivering.deliver_lane("pigeon") == 0
        row = pigeon()
        assert (row.tries, row.reason, row.outcome) == (0, "", Outcome.WAITING)
        assert row.next_try_at - db.now() <= delivering.PACE

    def test_tries_again_later_and_later_with_the_same_id(
        self, ada: User, scripted: type[Scripted]
    ) -> None:
        scripted.script = [DeliveryFailed("busy"), DeliveryFailed("busy")]
        tell(ada)
        waits = []
        for _ in range(2):
            delivering.deliver_lane("pigeon")
            row = pigeon()
            assert (row.outcome, row.reason) == (Outcome.WAITING, "busy")
            waits.append((row.next_try_at - db.now()).total_seconds())
            assert delivering.deliver_lane("pigeon") == 0
            later(row, seconds=waits[-1] + 1)
        assert 0.5 <= waits[0] <= 2
        assert 1.5 <= waits[1] <= 4
        assert delivering.deliver_lane("pigeon") == 1
        assert len({note.id for note in scripted.handed}) == 1
        assert [note.attempt for note in scripted.handed] == [1, 2, 3]

    def test_gives_up_what_can_never_arrive_and_says_why(
        self, ada: User, scripted: type[Scripted]
    ) -> None:
        scripted.script = [DeliveryFailed("no such loft", permanent=True)]
        tell(ada)
        delivering.deliver_lane("pigeon")
        assert (pigeon().outcome, pigeon().reason) == (Outcome.FAILED, "no such loft")

    def test_waits_as_long_as_it_was_asked_to(self, ada: User, scripted: type[Scripted]) -> None:
        scripted.script = [DeliveryFailed("429", retry_after=120)]
        tell(ada)
        tell(ada)
        delivering.deliver_lane("pigeon")
        assert len(scripted.handed) == 1, "the rest of the lane is not tried meanwhile"
        for row in Notification.objects.filter(channel="pigeon"):
            assert (row.next_try_at - db.now()).total_seconds() > 115
            assert row.lease_until is None
        assert sorted(
            Notification.objects.filter(channel="pigeon").values_list("tries", flat=True)
        ) == [0, 1]

    def test_lets_one_bad_address_not_stop_the_others(
        self, ada: User, bo: User, scripted: type[Scripted]
    ) -> None:
        scripted.script = [DeliveryFailed("this one only"), None]
        tell(ada)
        tell(bo)
        assert delivering.deliver_lane("pigeon") == 1

    def test_a_broken_channel_does_not_hold_up_the_others(
        self, ada: User, scripted: type[Scripted]
    ) -> None:
        scripted.script = [DeliveryFailed("down", lane_down=True)]
        tell(ada)
        assert set(delivering.due_lanes()) == {"in_app", "pigeon"}
        delivering.deliver_lane("pigeon")
        assert delivering.due_lanes() == ["in_app"]
        assert delivering.deliver_lane("in_app") == 1
        assert delivering.due_lanes() == []

    def test_a_bug_in_a_channel_is_a_failure_like_any(
        self, ada: User, scripted: type[Scripted]
    ) -> None:
        scripted.script = [ZeroDivisionError()]
        tell(ada)
        delivering.deliver_lane("pigeon")
        assert pigeon().outcome == Outcome.WAITING
        assert pigeon().reason == "unexpected: ZeroDivisionError"

    def test_a_channel_that_was_taken_away_is_said_to_be(
        self, ada: User, scripted: type[Scripted], settings: LazySettings
    ) -> None:
        tell(ada)
        settings.NOTIFICATION_CHANNELS = {"in_app": settings.NOTIFICATION_CHANNELS["in_app"]}
        delivering.deliver_lane("pigeon")
        assert pigeon().outcome == Outcome.FAILED
        assert "not set up" in pigeon().reason

    def test_tells_nobody_who_was_disabled_meanwhile(
        self, ada: User, scripted: type[Scripted]
    ) -> None:
        tell(ada)
        identity.disable_user(user=ada, actor=people.INSTALLER, now=clock.now())
        delivering.deliver_lane("pigeon")
        assert scripted.handed == []
        assert pigeon().outcome == Outcome.FAILED

    def test_a_worker_killed_after_its_claim_loses_nothing(
        self, ada: User, scripted: type[Scripted]
    ) -> None:
        tell(ada)
        assert len(delivering._claim("pigeon")) == 1, "and then the worker dies"
        assert "pigeon" not in delivering.due_lanes()
        assert delivering.deliver_lane("pigeon") == 0, "its lease is respected"
        later(pigeon(), seconds=delivering.LEASE.total_seconds() + 1)
        assert "pigeon" in delivering.due_lanes()
        assert delivering.deliver_lane("pigeon") == 1

    def test_a_worker_killed_after_sending_sends_again_with_the_same_id(
        self, ada: User, scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tell(ada)
        settle = delivering._settle
        monkeypatch.setattr(delivering, "_settle", _killed)
        with pytest.raises(KeyboardInterrupt):
            delivering.deliver_lane("pigeon")
        monkeypatch.setattr(delivering, "_settle", settle)
        later(pigeon(), seconds=delivering.LEASE.total_seconds() + 1)
        assert delivering.deliver_lane("pigeon") == 1
        assert len(scripted.handed) == 2
        assert scripted.handed[0].id == scripted.handed[1].id

    def test_stops_when_its_time_is_over(
        self, ada: User, scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(3):
            tell(ada)
        ticks = iter([0.0, 0.0, 0.0, 99.0, 99.0])
        monkeypatch.setattr(delivering, "monotonic", lambda: next(ticks))
        assert delivering.deliver_lane("pigeon") == 1
        rest = Notification.objects.filter(channel="pigeon", outcome=Outcome.WAITING)
        assert [(row.lease_until, row.tries) for row in rest] == [(None, 0), (None, 0)]

    def test_never_begins_within_a_transaction(self, db: None) -> None:
        # pytest's own transaction is not seen by durable(); one of ours is.
        with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
            delivering.deliver_lane("in_app")


def _killed(*_args: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.django_db(transaction=True)
class TestTwoWorkersInOneLane:
    def test_deliver_each_message_once(self, scripted: type[Scripted]) -> None:
        ada = people.person("ada")
        with transaction.atomic():
            for number in range(40):
                tell(ada, key=f"n:{number}")
        together = threading.Barrier(4)

        def work() -> None:
            try:
                together.wait()
                delivering.deliver_lane("pigeon")
            finally:
                connection.close()

        workers = [threading.Thread(target=work) for _ in range(4)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        delivering.deliver_lane("pigeon")
        keys = [note.key for note in scripted.handed]
        assert sorted(keys) == sorted({f"n:{number}" for number in range(40)})


class TestTidy:
    def test_drops_what_is_no_longer_worth_telling(
        self, ada: User, scripted: type[Scripted]
    ) -> None:
        tell(ada, useful_until=clock.now() + dt.timedelta(minutes=5))
        scripted.script = [DeliveryFailed("down")]
        delivering.deliver_lane("pigeon")
        later(pigeon(), minutes=6)
        assert delivering.deliver_lane("pigeon") == 0
        assert delivering.tidy() == 1
        assert (pigeon().outcome, pigeon().reason) == (Outcome.EXPIRED, "down")

    def test_says_so_when_it_was_never_tried(self, ada: User, scripted: type[Scripted]) -> None:
        tell(ada, useful_until=clock.now() + dt.timedelta(minutes=5))
        later(pigeon(), minutes=6)
        delivering.tidy()
        assert pigeon().reason == "not delivered while it was worth telling"

    def test_leaves_what_is_being_delivered(self, ada: User, scripted: type[Scripted]) -> None:
        tell(ada, useful_until=clock.now() + dt.timedelta(seconds=10))
        delivering._claim("pigeon")
        later(pigeon(), seconds=11)
        assert delivering.tidy() == 0

    def test_gives_up_an_endpoint_that_never_answers_and_tells_the_operators(
        self, endpoint: tuple[WebhookEndpoint, str], settings: LazySettings
    ) -> None:
        from jit.identity.permissions import Permission

        people.group("operators", Permission.OPERATIONS_READ)
        people.person("opal", "operators")
        row, _ = endpoint
        tell()
        long_ago = clock.now() - dt.timedelta(seconds=settings.WEBHOOK_GIVE_UP_AFTER + 1)
        WebhookEndpoint.objects.filter(pk=row.pk).update(failing_since=long_ago)
        delivering.tidy()
        row.refresh_from_db()
        assert not row.enabled
        assert "no delivery has succeeded" in row.disabled_reason
        assert Notification.objects.get(endpoint=row, kind="asked").outcome == Outcome.FAILED
        told = Notification.objects.get(recipient__username="opal", channel="in_app")
        assert told.kind == Kind.WEBHOOK_DISABLED
        delivering.tidy()
        assert Notification.objects.filter(kind=Kind.WEBHOOK_DISABLED).count() == 1


class TestWorkersForEndpoints:
    def test_are_never_all_taken_by_them(self, db: None, settings: LazySettings, ada: User) -> None:
        settings.WEBHOOK_WORKERS = 2
        rows = [
            operations.create_endpoint(
                name=f"slow-{number}",
                url="https://example.com/",
                kinds=[],
                actor=people.INSTALLER,
                now=clock.now(),
            )[0]
            for number in range(3)
        ]
        tell(ada)
        claimed = [len(delivering._claim(f"webhook:{row.pk}")) for row in rows]
        assert claimed == [1, 1, 0]
        assert len(delivering._claim("in_app")) == 1


class TestTasks:
    def test_deliver_sends_a_worker_to_each_lane(
        self, ada: User, scripted: type[Scripted], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[str] = []
        monkeypatch.setattr(
            tasks.deliver_lane, "apply_async", lambda args, **_rest: sent.append(args[0])
        )
        tell(ada)
        tasks.deliver()
        assert sent == ["in_app", "pigeon"]

    def test_clear_old_forgets_what_was_settled_long_ago(
        self, ada: User, scripted: type[Scripted], settings: LazySettings
    ) -> None:
        tell(ada)
        tell(ada)
        delivering.deliver_lane("pigeon")
        for row in Notification.objects.all():
            later(row, days=settings.NOTIFICATIONS_KEPT_DAYS + 1)
        assert clearing.clear_old() == 2
        assert set(Notification.objects.values_list("channel", flat=True)) == {"in_app"}


class TestQueries:
    def test_deliveries_of_shows_what_became_of_each(
        self, ada: User, bo: User, scripted: type[Scripted]
    ) -> None:
        scripted.script = [DeliveryFailed("no such loft", permanent=True)]
        tell(ada)
        tell(bo)
        delivering.deliver_lane("pigeon")
        found = {
            (str(row.recipient), row.channel): (row.arrived, row.reason)
            for row in queries.deliveries_of(SUBJECT)
        }
        assert found == {
            ("ada", "in_app"): (True, ""),
            ("ada", "pigeon"): (False, "no such loft"),
            ("bo", "in_app"): (True, ""),
            ("bo", "pigeon"): (True, ""),
        }

    def test_lanes_show_what_waits_and_fails(self, ada: User, scripted: type[Scripted]) -> None:
        scripted.script = [DeliveryFailed("down", lane_down=True)]
        tell(ada)
        tell(ada)
        delivering.deliver_lane("pigeon")
        found = {row["lane"]: (row["waiting"], row["failing"]) for row in queries.lanes(db.now())}
        assert found == {"in_app": (2, 0), "pigeon": (2, 1)}
        assert [row.reason for row in queries.failing()] == ["down"]
