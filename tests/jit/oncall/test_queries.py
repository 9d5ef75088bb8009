from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import pytest
from django.core.cache import cache

from jit.identity import operations as identity
from jit.identity.models import User
from jit.kernel import clock
from jit.oncall import queries, silence
from tests.standins.on_call_fake import FakeOnCall
from tests.support import people


@pytest.fixture
def rita(db: None) -> User:
    return people.person("rita", email="rita@example.com")


@pytest.fixture
def ada(db: None) -> User:
    return people.person("ada", email="Ada@example.com")


class TestPeopleOnCall:
    def test_are_our_active_people_by_their_address(
        self, connected: FakeOnCall, rita: User, ada: User
    ) -> None:
        connected.puts_on_call("ada@example.com")
        connected.puts_on_call("stranger@example.com")
        assert queries.people_on_call("payments") == ["ada"]

    def test_are_asked_for_each_time(self, connected: FakeOnCall, ada: User) -> None:
        connected.puts_on_call("ada@example.com")
        assert queries.people_on_call("payments") == ["ada"]
        connected.shifts.clear()
        assert queries.people_on_call("payments") == []

    def test_leave_out_the_disabled(self, connected: FakeOnCall, ada: User) -> None:
        connected.puts_on_call("ada@example.com")
        identity.disable_user(user=ada, actor=people.INSTALLER, now=clock.now())
        assert queries.people_on_call("payments") == []

    def test_an_address_of_two_is_nobodys(self, connected: FakeOnCall, ada: User) -> None:
        people.person("bo", email="ada@example.com")
        connected.puts_on_call("ada@example.com")
        assert queries.people_on_call("payments") == []

    def test_a_bound_name_is_never_replaced_by_an_address(
        self, connected: FakeOnCall, ada: User, settings: Any
    ) -> None:
        settings.ONCALL_SYSTEMS["pagerduty"]["people"] = {"PADA001": "gone"}
        connected.puts_on_call("ada@example.com")
        assert queries.people_on_call("payments") == []

    @pytest.mark.parametrize("fails", [500, 401, (200, "junk")])
    def test_are_nobody_when_the_system_fails(
        self, connected: FakeOnCall, ada: User, fails: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        connected.puts_on_call("ada@example.com")
        connected.fails = fails
        with caplog.at_level(logging.WARNING, "jit.oncall.queries"):
            assert queries.people_on_call("payments") == []
        assert "on-call for payments could not be asked" in caplog.text
        assert "the-api-token" not in caplog.text

    def test_are_nobody_for_a_name_that_is_not_set_up(
        self, connected: FakeOnCall, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert queries.people_on_call("ledger") == []
        assert "oncall:ledger" in caplog.text
        assert connected.asked == []

    def test_are_nobody_when_the_settings_are_broken(
        self, connected: FakeOnCall, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.ONCALL_SERVICES = ["payments=gone/x"]
        assert queries.people_on_call("payments") == []
        assert queries.standing(User(username="x"), now=clock.now()) == queries.Standing(
            known=False
        )

    def test_the_slow_are_not_waited_for(
        self, connected: FakeOnCall, ada: User, settings: Any
    ) -> None:
        settings.ONCALL_TIMEOUT = 0.3
        connected.puts_on_call("ada@example.com")
        connected.fails = "silent"
        assert queries.people_on_call("payments") == []

    def test_who_let_us_wait_is_left_alone_for_a_moment(
        self, connected: FakeOnCall, ada: User, settings: Any
    ) -> None:
        """A chain may name several pagers: not each may cost all the time there is."""
        settings.ONCALL_TIMEOUT = 0.3
        connected.puts_on_call("ada@example.com")
        connected.fails = "silent"
        assert queries.people_on_call("payments") == []
        connected.fails = None
        asked = len(connected.asked)
        assert queries.people_on_call("payments") == []
        assert not queries.standing(ada, now=clock.now()).known
        assert len(connected.asked) == asked
        silence.forget()
        assert queries.people_on_call("payments") == ["ada"]

    def test_who_refused_at_once_is_asked_again(self, connected: FakeOnCall, ada: User) -> None:
        connected.puts_on_call("ada@example.com")
        connected.fails = 500
        assert queries.people_on_call("payments") == []
        connected.fails = None
        assert queries.people_on_call("payments") == ["ada"]

    def test_are_looked_for_without_the_incidents(self, connected: FakeOnCall, ada: User) -> None:
        queries.people_on_call("payments")
        assert [asked.path for asked in connected.asked] == ["/oncalls"]


class TestStanding:
    def test_says_what_one_is_on_call_for_and_until_when(
        self, connected: FakeOnCall, rita: User
    ) -> None:
        connected.puts_on_call("rita@example.com")
        found = queries.standing(rita, now=clock.now())
        assert found.on_call_for == ("payments",)
        assert found.acknowledged_for == ()
        assert found.until == dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
        assert found.known
        assert "asked pagerduty at" in found.checks["payments"]
        assert "on call at level 1 until 2100-01-01T00:00:00" in found.checks["payments"]

    def test_is_empty_for_somebody_else(self, connected: FakeOnCall, rita: User, ada: User) -> None:
        connected.puts_on_call("rita@example.com")
        connected.acknowledges("rita@example.com")
        found = queries.standing(ada, now=clock.now())
        assert (found.on_call_for, found.acknowledged_for, found.known) == ((), (), True)
        assert "not on call" in found.checks["payments"]

    def test_knows_whose_incident_it_is(self, connected: FakeOnCall, rita: User) -> None:
        connected.acknowledges("rita@example.com")
        found = queries.standing(rita, now=clock.now())
        assert (found.on_call_for, found.acknowledged_for) == ((), ("payments",))
        assert "acknowledged PINCID0" in found.checks["payments"]

    def test_ends_with_the_first_shift_that_ends(
        self, connected: FakeOnCall, rita: User, settings: Any
    ) -> None:
        settings.ONCALL_SERVICES = [
            "payments=pagerduty/policy:PPOLICY1",
            "ledger=pagerduty/schedule:PLEDGER1",
            "always=pagerduty/policy:PALWAYS1",
        ]
        connected.puts_on_call("rita@example.com", until="2090-01-01T00:00:00Z")
        connected.puts_on_call(
            "rita@example.com", schedule={"id": "PLEDGER1"}, escalation_policy={"id": "POTHER1"}
        )
        connected.puts_on_call("rita@example.com", escalation_policy={"id": "PALWAYS1"}, until=None)
        found = queries.standing(rita, now=clock.now())
        assert found.on_call_for == ("always", "ledger", "payments")
        assert found.until == dt.datetime(2090, 1, 1, tzinfo=dt.UTC)

    def test_ends_with_the_last_of_ones_shifts_for_one_service(
        self, connected: FakeOnCall, rita: User
    ) -> None:
        connected.puts_on_call("rita@example.com", until="2090-01-01T00:00:00Z")
        connected.puts_on_call("rita@example.com", until="2095-01-01T00:00:00Z")
        found = queries.standing(rita, now=clock.now())
        assert found.until == dt.datetime(2095, 1, 1, tzinfo=dt.UTC)

    def test_asks_only_for_the_services_that_count(
        self, connected: FakeOnCall, rita: User, settings: Any
    ) -> None:
        settings.ONCALL_SERVICES += ["ledger=pagerduty/policy:PLEDGER1"]
        queries.standing(rita, now=clock.now(), names=["ledger"])
        assert connected.asked[0].query["escalation_policy_ids[]"] == ["PLEDGER1"]
        assert len(connected.asked) == 1

    @pytest.mark.parametrize("fails", [500, 401, (200, "junk"), (200, "{}")])
    def test_is_empty_and_says_so_when_the_system_fails(
        self, connected: FakeOnCall, rita: User, fails: Any
    ) -> None:
        connected.puts_on_call("rita@example.com")
        connected.acknowledges("rita@example.com")
        connected.fails = fails
        found = queries.standing(rita, now=clock.now())
        assert (found.on_call_for, found.acknowledged_for, found.known) == ((), (), False)
        assert found.until is None
        assert found.checks["payments"].startswith("asked pagerduty at")
        assert "not on call" not in found.checks["payments"], "nobody knows that"

    def test_is_not_known_when_only_the_incidents_fail(
        self, connected: FakeOnCall, rita: User
    ) -> None:
        connected.puts_on_call("rita@example.com")
        connected.fails, connected.fails_at = 500, "/incidents"
        found = queries.standing(rita, now=clock.now())
        assert (found.on_call_for, found.acknowledged_for) == (("payments",), ())
        assert not found.known

    def test_asks_nobody_where_nothing_is_set_up(self, rita: User) -> None:
        assert queries.standing(rita, now=clock.now()) == queries.Standing()


class TestOnCallKept:
    def test_serves_pages_for_a_minute_and_decisions_never(
        self, connected: FakeOnCall, rita: User
    ) -> None:
        now = clock.now()
        assert queries.standing(rita, now=now, fresh=False).on_call_for == ()
        connected.puts_on_call("rita@example.com")
        asked = len(connected.asked)
        assert queries.standing(rita, now=now, fresh=False).on_call_for == ()
        assert len(connected.asked) == asked
        assert queries.standing(rita, now=now).on_call_for == ("payments",)

    def test_a_shift_that_ended_meanwhile_counts_no_more(
        self, connected: FakeOnCall, rita: User
    ) -> None:
        connected.puts_on_call("rita@example.com")
        now = clock.now()
        assert queries.standing(rita, now=now, fresh=False).on_call_for == ("payments",)
        later = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
        assert queries.standing(rita, now=later, fresh=False).on_call_for == ()

    def test_is_forgotten_on_a_hint(self, connected: FakeOnCall, rita: User) -> None:
        now = clock.now()
        queries.standing(rita, now=now, fresh=False)
        connected.puts_on_call("rita@example.com")
        queries.forget(["payments"])
        assert queries.standing(rita, now=now, fresh=False).on_call_for == ("payments",)

    def test_asks_when_there_is_no_cache(
        self, connected: FakeOnCall, rita: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_args: Any) -> None:
            raise ConnectionError("the cache is gone")

        monkeypatch.setattr(cache, "get_many", down)
        monkeypatch.setattr(cache, "set_many", down)
        connected.puts_on_call("rita@example.com")
        assert queries.standing(rita, now=clock.now(), fresh=False).on_call_for == ("payments",)
