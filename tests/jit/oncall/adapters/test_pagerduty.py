from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import yaml

from jit.oncall.adapters import asking
from jit.oncall.adapters.base import (
    Contact,
    Incident,
    OnCallPerson,
    OnCallServiceNotFound,
    OnCallUnavailable,
)
from jit.oncall.adapters.pagerduty import PagerDuty
from tests.standins.on_call_fake import FakeOnCall
from tests.standins.pagerduty_prism import DOCUMENT, Prism

TOKEN = "the-api-token-of-the-tests"
FAR = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
BOTH = "policy:PPOLICY1+service:PSERV01"


def pagerduty(url: str, **more: Any) -> PagerDuty:
    return PagerDuty(name="pagerduty", token=TOKEN, url=url, **more)


class Exchanges:
    """What went over the wire; `prefer` is said to prism with each request."""

    def __init__(self) -> None:
        self.prefer = ""
        self.seen: list[tuple[requests.PreparedRequest, requests.Response]] = []

    def violations(self) -> list[str]:
        return [answer.headers.get("sl-violations", "") for _, answer in self.seen]


@pytest.fixture
def exchanges(monkeypatch: pytest.MonkeyPatch) -> Exchanges:
    found = Exchanges()
    send = requests.Session.send

    def watched(self: Any, request: Any, **options: Any) -> Any:
        if found.prefer:
            request.headers["Prefer"] = found.prefer
        answer = send(self, request, **options)
        found.seen.append((request, answer))
        return answer

    monkeypatch.setattr(requests.Session, "send", watched)
    return found


class TestAgainstPagerDutysDocument:
    def test_asks_who_is_on_call_without_a_violation(
        self, prism: Prism, exchanges: Exchanges
    ) -> None:
        found = pagerduty(prism.url).who_is_on_call(BOTH)
        assert found == (
            OnCallPerson(
                Contact(email="ada@example.com"), 1, dt.datetime(2100, 1, 1, 9, tzinfo=dt.UTC)
            ),
        )
        assert exchanges.violations() == [""]

    def test_asks_for_a_schedule_without_a_violation(
        self, prism: Prism, exchanges: Exchanges
    ) -> None:
        found = pagerduty(prism.url).who_is_on_call("schedule:PSCHED1")
        assert [person.contact.email for person in found] == ["ada@example.com"]
        assert exchanges.violations() == [""]

    def test_asks_for_incidents_without_a_violation(
        self, prism: Prism, exchanges: Exchanges
    ) -> None:
        assert pagerduty(prism.url).incidents_of(BOTH) == (
            Incident("PINCID1", (Contact(email="ada@example.com"),)),
        )
        assert exchanges.violations() == [""]

    def test_sends_only_what_the_document_knows(self, prism: Prism, exchanges: Exchanges) -> None:
        """Prism checks neither unknown parameters nor the enumerations of lists: so do it here."""
        pagerduty(prism.url).who_is_on_call(BOTH)
        pagerduty(prism.url).who_is_on_call("schedule:PSCHED1")
        pagerduty(prism.url).incidents_of(BOTH)
        assert len(exchanges.seen) == 3
        paths = yaml.safe_load(DOCUMENT.read_text())["paths"]
        shared = {"time_zone": None, "limit": None, "offset": None}
        for request, _ in exchanges.seen:
            parts = urlsplit(str(request.url))
            known = {
                each["name"]: each["schema"].get("items", each["schema"]).get("enum")
                for each in paths[parts.path]["get"]["parameters"]
                if "name" in each
            } | shared
            for name, value in parse_qsl(parts.query):
                assert name in known
                assert known[name] is None or value in known[name]

    def test_a_request_that_breaks_the_document_would_be_seen(self, prism: Prism) -> None:
        answer = requests.get(f"{prism.url}/oncalls?limit=1000", timeout=10)
        for missing in ("security scheme", "content-type", "must be <= 100"):
            assert missing in answer.headers["sl-violations"]

    @pytest.mark.parametrize(
        ("status", "why"),
        [(400, "status 400"), (401, "credentials"), (403, "credentials"), (429, "too often")],
    )
    def test_takes_a_refusal_for_silence(
        self, prism: Prism, exchanges: Exchanges, status: int, why: str
    ) -> None:
        exchanges.prefer = f"code={status}"
        with pytest.raises(OnCallUnavailable) as caught:
            pagerduty(prism.url).who_is_on_call(BOTH)
        assert exchanges.seen[0][1].status_code == status
        assert why in caught.value.extra["why"]


class TestWhoIsOnCall:
    def test_counts_the_first_levels_of_a_policy_only(self, fake: FakeOnCall) -> None:
        for level, name in enumerate(("ada", "bo", "olga"), start=1):
            fake.puts_on_call(f"{name}@example.com", level=level)
        for levels, expected in ((1, ["ada"]), (2, ["ada", "bo"]), (9, ["ada", "bo", "olga"])):
            found = pagerduty(fake.url, levels=levels).who_is_on_call(BOTH)
            assert [p.contact.email.partition("@")[0] for p in found] == expected

    def test_counts_everybody_on_a_schedule_that_is_named(self, fake: FakeOnCall) -> None:
        fake.puts_on_call("ada@example.com", level=3)
        assert len(pagerduty(fake.url).who_is_on_call("schedule:PSCHED1")) == 1

    def test_leaves_out_other_policies_and_schedules(self, fake: FakeOnCall) -> None:
        """A proxy or a vendor that drops a filter must not put the whole company on call."""
        fake.puts_on_call("bo@example.com", escalation_policy={"id": "POTHER1"})
        assert pagerduty(fake.url).who_is_on_call(BOTH) == ()
        fake.shifts = []
        fake.puts_on_call("bo@example.com", schedule={"id": "POTHER1"})
        assert pagerduty(fake.url).who_is_on_call("schedule:PSCHED1") == ()

    def test_leaves_out_shifts_that_are_over_or_to_come(self, fake: FakeOnCall) -> None:
        fake.puts_on_call("ada@example.com", until="2021-01-01T00:00:00Z")
        fake.puts_on_call("bo@example.com", start="2099-01-01T00:00:00+02:00")
        assert pagerduty(fake.url).who_is_on_call(BOTH) == ()

    def test_takes_no_start_and_no_end_for_always(self, fake: FakeOnCall) -> None:
        fake.puts_on_call("ada@example.com", until=None, start=None)
        assert pagerduty(fake.url).who_is_on_call(BOTH)[0].until is None

    def test_a_bound_id_stands_before_the_address(self, fake: FakeOnCall) -> None:
        """Who may write their own address in PagerDuty may not become somebody else here."""
        fake.puts_on_call("ada@example.com", user={"id": "PEVE001", "email": "ada@example.com"})
        found = pagerduty(fake.url, people={"PEVE001": "otto"}).who_is_on_call(BOTH)
        assert found[0].contact == Contact(username="otto")

    def test_shows_its_token_and_follows_no_netrc(
        self, fake: FakeOnCall, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login otto password stolen\n")
        monkeypatch.setenv("NETRC", str(netrc))
        pagerduty(fake.url).who_is_on_call(BOTH)
        assert fake.asked[0].headers["Authorization"] == f"Token token={TOKEN}"
        assert fake.asked[0].headers["Accept"] == "application/vnd.pagerduty+json;version=2"

    @pytest.mark.parametrize(
        ("fails", "why"),
        [
            (500, "answered with status 500"),
            (503, "answered with status 503"),
            (401, "refused our credentials"),
            (429, "says that we ask too often"),
            (302, "answered with status 302"),
            (204, "answered with status 204"),
            ((200, ""), "not JSON"),
            ((200, "<html>Sign in</html>"), "not JSON"),
            ((200, "[" * 100_000), "not JSON"),
            ((200, "[]"), "can't be understood"),
            ((200, "{}"), "can't be understood"),
            ((200, '{"oncalls": null}'), "can't be understood"),
            ((200, '{"oncalls": [null]}'), "can't be understood"),
            ((200, '{"oncalls": [{"escalation_policy": {"id": "PPOLICY1"}}]}'), "understood"),
            ((200, '{"oncalls": [], "x": "' + "x" * 1_100_000 + '"}'), "far too much"),
        ],
    )
    def test_takes_any_other_answer_for_silence(
        self, fake: FakeOnCall, fails: Any, why: str
    ) -> None:
        fake.fails = fails
        with pytest.raises(OnCallUnavailable) as caught:
            pagerduty(fake.url).who_is_on_call(BOTH)
        assert why in caught.value.extra["why"]
        assert "people decide instead" in caught.value.detail
        assert len(fake.asked) == 1, "neither a redirect followed nor a second try"

    @pytest.mark.parametrize(
        "broken",
        [
            {"escalation_level": "1"},
            {"escalation_level": True},
            {"escalation_level": 0},
            {"end": "tomorrow"},
            {"end": "2100-01-01T00:00:00"},
            {"end": "9999-12-31T23:59:59-10:00"},
            {"user": None},
            {"user": {"id": "PBO0001", "email": "\ud800@example.com"}},
            {"user": {"id": "PBO0001", "email": "bo\0@example.com"}},
            {"user": {"id": ["PBO0001"], "email": "bo@example.com"}},
        ],
    )
    def test_takes_a_shift_it_cannot_read_for_silence(
        self, fake: FakeOnCall, broken: dict[str, Any]
    ) -> None:
        fake.puts_on_call("ada@example.com")
        fake.puts_on_call("bo@example.com", **broken)
        with pytest.raises(OnCallUnavailable):
            pagerduty(fake.url).who_is_on_call(BOTH)

    def test_says_when_the_settings_name_nothing_there(self, fake: FakeOnCall) -> None:
        fake.fails = 404
        with pytest.raises(OnCallServiceNotFound, match="JIT_ONCALL_SERVICES"):
            pagerduty(fake.url).who_is_on_call(BOTH)

    def test_an_answer_cut_short_is_none(self, fake: FakeOnCall) -> None:
        fake.fails = "cut"
        with pytest.raises(OnCallUnavailable):
            pagerduty(fake.url).who_is_on_call(BOTH)

    @pytest.mark.parametrize("how", ["silent", "stall"])
    def test_waits_for_nobody_for_long(
        self, how: str, fake: FakeOnCall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asking, "READ_SECONDS", 0.2)
        fake.fails = how
        with pytest.raises(OnCallUnavailable, match="in time"):
            pagerduty(fake.url).who_is_on_call(BOTH)

    def test_is_not_held_by_a_byte_now_and_then(
        self, fake: FakeOnCall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asking, "ALL_SECONDS", 0.3)
        fake.fails = "drip"
        with pytest.raises(OnCallUnavailable, match="in time"):
            pagerduty(fake.url).who_is_on_call(BOTH)

    def test_says_so_when_nobody_listens(self) -> None:
        with pytest.raises(OnCallUnavailable, match="can't be connected to"):
            pagerduty("http://127.0.0.1:9").who_is_on_call(BOTH)


class TestIncidentsOf:
    def test_reads_who_acknowledged(self, fake: FakeOnCall) -> None:
        fake.acknowledges("ada@example.com", "bo@example.com")
        found = pagerduty(fake.url).incidents_of(BOTH)
        assert [who.email for who in found[0].acknowledged_by] == [
            "ada@example.com",
            "bo@example.com",
        ]

    @pytest.mark.parametrize(
        "more",
        [
            {"status": "triggered"},
            {"status": "resolved"},
            {"service": {"id": "POTHER1"}},
        ],
    )
    def test_leaves_out_what_was_not_asked_for(
        self, fake: FakeOnCall, more: dict[str, Any]
    ) -> None:
        """The service, the state and the person must be those of one and the same incident."""
        fake.acknowledges("ada@example.com", **more)
        assert pagerduty(fake.url).incidents_of(BOTH) == ()

    def test_asks_nothing_where_no_service_is_named(self, fake: FakeOnCall) -> None:
        assert pagerduty(fake.url).incidents_of("policy:PPOLICY1") == ()
        assert fake.asked == []

    @pytest.mark.parametrize("junk", ['{"incidents": {}}', '{"incidents": [{"id": 1}]}', "no"])
    def test_takes_junk_for_silence(self, fake: FakeOnCall, junk: str) -> None:
        fake.fails = (200, junk)
        with pytest.raises(OnCallUnavailable):
            pagerduty(fake.url).incidents_of(BOTH)


class TestSettings:
    @pytest.mark.parametrize(
        "service",
        [
            "",
            "PPOLICY1",
            "policy:",
            "policy:abc",
            "policy:P1;DROP",
            "service:PSERV01",
            "policy:A/B",
        ],
    )
    def test_refuse_a_service_that_cannot_be_read(self, service: str) -> None:
        with pytest.raises(ValueError, match="does not read"):
            pagerduty("https://api.pagerduty.com").check(service)

    @pytest.mark.parametrize(
        "more",
        [{"url": "http://api.pagerduty.com"}, {"url": "ftp://x"}, {"token": ""}, {"levels": 0}],
    )
    def test_refuse_what_cannot_be_run_with(self, more: dict[str, Any]) -> None:
        with pytest.raises(TypeError):
            PagerDuty(**({"name": "pagerduty", "token": TOKEN} | more))

    def test_know_what_an_event_is_about(self) -> None:
        system = pagerduty("https://api.pagerduty.com")
        assert system.concerns(BOTH, "PSERV01")
        assert system.concerns(BOTH, "PPOLICY1")
        assert not system.concerns(BOTH, "policy")
        assert not system.concerns("policy:PPOLICY1", "PSERV01")
