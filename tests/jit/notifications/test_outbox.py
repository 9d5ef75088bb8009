from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.db.transaction import TransactionManagementError

from jit.identity import operations as identity
from jit.identity.models import User
from jit.kernel import clock, tasks
from jit.notifications import operations, queries
from jit.notifications.kinds import Kind
from jit.notifications.models import Notification, Outcome, WebhookEndpoint
from tests.jit.notifications.conftest import PAYLOAD, SUBJECT, tell
from tests.support import people


def places() -> set[tuple[str, str]]:
    rows = Notification.objects.select_related("recipient", "endpoint")
    return {(row.channel, str(row.recipient or row.endpoint)) for row in rows}


@pytest.fixture
def with_mail(settings: LazySettings) -> None:
    settings.NOTIFICATION_CHANNELS = {
        **settings.NOTIFICATION_CHANNELS,
        "email": "jit.notifications.channels.email.Email",
    }


@pytest.mark.usefixtures("with_mail")
class TestNotify:
    def test_writes_a_row_for_each_person_and_channel(self, ada: User, bo: User) -> None:
        assert tell(ada, bo) == 4
        assert places() == {("in_app", "ada"), ("email", "ada"), ("in_app", "bo"), ("email", "bo")}

    def test_tells_an_event_once_to_each(self, ada: User, bo: User) -> None:
        tell(ada, key="asked:1")
        assert tell(ada, bo, bo, key="asked:1") == 2
        assert Notification.objects.filter(recipient=ada).count() == 2

    def test_keeps_to_what_a_person_chose(self, ada: User, bo: User) -> None:
        operations.set_preferences(user=ada, wanted={"asked": {"email": False}})
        operations.set_preferences(user=bo, wanted={"ended": {"email": True}})
        tell(ada, bo)
        tell(ada, bo, kind=Kind.ENDED)
        mails = Notification.objects.filter(channel="email").values_list(
            "recipient__username", "kind"
        )
        assert set(mails) == {("bo", "asked"), ("bo", "ended")}
        assert Notification.objects.filter(channel="in_app").count() == 4

    def test_does_not_tell_who_was_disabled(self, ada: User, bo: User) -> None:
        identity.disable_user(user=bo, actor=people.INSTALLER, now=clock.now())
        bo.refresh_from_db()
        assert tell(bo) == 0

    def test_writes_one_row_for_each_endpoint_that_listens(
        self, ada: User, endpoint: tuple[WebhookEndpoint, str]
    ) -> None:
        other, _ = operations.create_endpoint(
            name="only-ends",
            url="https://example.com/",
            kinds=["ended"],
            actor=people.INSTALLER,
            now=clock.now(),
        )
        tell(ada)
        tell(kind=Kind.ENDED)
        found = Notification.objects.filter(channel="webhook").values_list("endpoint__name", "kind")
        assert set(found) == {("siem", "asked"), ("siem", "ended"), ("only-ends", "ended")}
        assert {row.lane for row in Notification.objects.filter(endpoint=other)} == {
            f"webhook:{other.pk}"
        }

    def test_takes_one_statement_however_many_are_told(
        self, ada: User, bo: User, django_assert_num_queries: Any
    ) -> None:
        news = [
            operations.News(
                kind=Kind.ENDED,
                recipients=(ada, bo),
                subject=SUBJECT,
                payload=PAYLOAD,
                key=f"ended:{number}",
            )
            for number in range(250)
        ]
        with django_assert_num_queries(1):
            assert operations.notify_all(news=news, now=clock.now()) == 500

    def test_overtakes_what_nobody_need_hear_any_more(self, ada: User) -> None:
        tell(ada, kind=Kind.ASKED)
        tell(ada, kind=Kind.DECIDED, overtakes=(Kind.ASKED,))
        asked = Notification.objects.get(kind="asked", channel="email")
        assert (asked.outcome, asked.reason) == (Outcome.EXPIRED, "overtaken: decided")
        assert Notification.objects.get(kind="asked", channel="in_app").outcome == Outcome.WAITING

    def test_does_not_overtake_what_is_about_something_else(self, ada: User) -> None:
        other = type(SUBJECT)(type="request", id="other", label="")
        tell(ada, kind=Kind.ASKED, subject=other)
        tell(ada, kind=Kind.DECIDED, overtakes=(Kind.ASKED,))
        assert Notification.objects.get(kind="asked", channel="email").outcome == Outcome.WAITING

    def test_writes_nothing_that_is_of_no_use_any_more(self, ada: User) -> None:
        now = clock.now()
        assert tell(ada, now=now, useful_until=now) == 0

    def test_keeps_hostile_words_whole_but_for_nul(self, ada: User) -> None:
        tell(ada, payload={"role": "a\0b\u202e", "until": dt.datetime(2030, 1, 1, tzinfo=dt.UTC)})
        payload = Notification.objects.filter(channel="in_app").get().payload
        assert payload == {"role": "a\ufffdb\u202e", "until": "2030-01-01T00:00:00.000000Z"}

    def test_wakes_a_worker_once_it_is_committed(
        self, ada: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
    ) -> None:
        sent: list[str] = []
        monkeypatch.setattr(tasks, "_send", lambda name, *_rest: sent.append(name))
        with django_capture_on_commit_callbacks(execute=True):
            tell(ada)
            assert sent == []
        assert sent == ["jit.notifications.deliver"]


@pytest.mark.django_db(transaction=True)
class TestNotifyAndItsTransaction:
    def test_refuses_to_be_called_outside_one(self) -> None:
        with pytest.raises(TransactionManagementError):
            tell(people.person("ada"))

    def test_leaves_no_row_when_what_it_tells_of_is_undone(self) -> None:
        ada = people.person("ada")
        with transaction.atomic():
            assert tell(ada) == 1
            transaction.set_rollback(True)
        assert not Notification.objects.exists()


class TestMarkRead:
    def test_marks_ones_own_alone(self, ada: User, bo: User) -> None:
        tell(ada, bo)
        his = Notification.objects.get(recipient=bo, channel="in_app")
        assert operations.mark_read(user=ada, ids=[his.pk], now=clock.now()) == 0
        assert operations.mark_read(user=bo, ids=[his.pk], now=clock.now()) == 1
        assert operations.mark_read(user=bo, ids=[his.pk], now=clock.now()) == 0
        assert (queries.unread_count(ada), queries.unread_count(bo)) == (1, 0)

    def test_marks_all(self, ada: User) -> None:
        tell(ada)
        tell(ada)
        assert operations.mark_read(user=ada, ids=None, now=clock.now()) == 2


@pytest.mark.usefixtures("with_mail")
class TestSetPreferences:
    def test_is_shown_over_the_defaults(self, ada: User) -> None:
        operations.set_preferences(user=ada, wanted={"active": {"email": True}})
        operations.set_preferences(user=ada, wanted={"asked": {"email": False, "in_app": True}})
        found = {choice.kind: choice.wanted for choice in queries.preferences_of(ada)}
        assert found[Kind.ACTIVE] == {"in_app": True, "email": True}
        assert found[Kind.ASKED] == {"in_app": True, "email": False}
        assert found[Kind.ENDED] == {"in_app": True, "email": False}
        assert found[Kind.DECIDED] == {"in_app": True, "email": True}

    @pytest.mark.parametrize(
        "wanted",
        [
            {"nonsense": {"email": True}},
            {"test": {"email": True}},
            {"asked": {"pigeon": True}},
            {"asked": {"webhook": True}},
            {"asked": {"in_app": False}},
        ],
    )
    def test_refuses_what_there_is_not(self, ada: User, wanted: dict[str, dict[str, bool]]) -> None:
        from jit.kernel.errors import InvalidInput

        with pytest.raises(InvalidInput):
            operations.set_preferences(user=ada, wanted=wanted)
