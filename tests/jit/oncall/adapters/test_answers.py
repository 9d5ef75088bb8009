"""What was asked of an on-call system is what its answer must be about: the service, the moment,
all of the list, and people who can be told. Anything else is unknown: neither "on call" nor
"nobody is".
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from jit.oncall.adapters.base import OnCallSystem, OnCallUnavailable
from jit.oncall.adapters.generic import Http
from jit.oncall.adapters.pagerduty import PagerDuty
from tests.standins import on_call_fake
from tests.standins.on_call_fake import POLICY, SCHEDULE, SERVICE, FakeOnCall

ADA = {"id": "PADA001", "type": "user", "email": "ada@example.com"}
SHIFT = {
    "user": ADA,
    "schedule": {"id": SCHEDULE},
    "escalation_policy": {"id": POLICY},
    "escalation_level": 1,
    "start": "2020-01-01T00:00:00Z",
    "end": "2100-01-01T00:00:00Z",
}
TAKEN = {
    "id": "PINCID1",
    "status": "acknowledged",
    "service": {"id": SERVICE},
    "acknowledgements": [{"acknowledger": ADA}],
}
ENTRY = {"username": "ada", "level": 1, "until": "2100-01-01T00:00:00Z"}
INCIDENT = {"key": "INC-1", "acknowledged_by": [{"username": "ada"}]}


def oncalls(**more: Any) -> dict[str, Any]:
    return {"oncalls": [SHIFT], "more": False, **more}


def shift(**more: Any) -> dict[str, Any]:
    return oncalls(oncalls=[SHIFT | more])


def incidents(**more: Any) -> dict[str, Any]:
    return {"incidents": [TAKEN], "more": False, **more}


def http_oncalls(**more: Any) -> dict[str, Any]:
    return {"service": "payments", "on_call": [ENTRY], **more}


def http_incidents(**more: Any) -> dict[str, Any]:
    return {"service": "payments", "incidents": [INCIDENT], **more}


ADAPTERS: dict[str, str] = {
    "PagerDuty": f"policy:{POLICY}+service:{SERVICE}",
    "Http": "payments",
}
"""Each adapter, and the service it is asked about."""
RIGHT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "PagerDuty": (oncalls(), incidents()),
    "Http": (http_oncalls(), http_incidents()),
}
NOBODY: dict[str, dict[str, dict[str, Any]]] = {
    "PagerDuty": {
        "another policy's": shift(escalation_policy={"id": "POTHER1"}),
        "over": shift(end="2021-01-01T00:00:00Z"),
        "to come": shift(start="2099-01-01T00:00:00Z"),
        "called later": shift(escalation_level=2),
    },
    "Http": {
        "over": http_oncalls(on_call=[ENTRY | {"until": "2021-01-01T00:00:00Z"}]),
        "called later": http_oncalls(on_call=[ENTRY | {"level": 2}]),
    },
}
"""Answers that say plainly that nobody is on call for it now."""
UNKNOWN_PEOPLE: dict[str, dict[str, Any]] = {
    "PagerDuty": {
        "an error beside it": oncalls(error={"message": "Rate limit", "code": 2020}),
        "errors beside it": oncalls(errors=["no"]),
        "cut": oncalls(more=True),
        "no word of an end": {"oncalls": [SHIFT]},
        "an odd end": oncalls(more="false"),
        "another page": oncalls(offset=100),
        "another list": {"incidents": [TAKEN], "more": False},
        "no policy": oncalls(oncalls=[{k: v for k, v in SHIFT.items() if k[0:3] != "esc"}]),
        "no start": oncalls(oncalls=[{k: v for k, v in SHIFT.items() if k != "start"}]),
        "a start beyond the calendar": shift(start="0001-01-01T00:00:00+14:00"),
        "an end beyond the calendar": shift(end="9999-12-31T23:59:59-10:00"),
        "an end in numbers": shift(end=4102444800),
        "no user": shift(user=None),
        "a user without an id": shift(user={"type": "user", "email": "ada@example.com"}),
        "a user of an odd id": shift(user=ADA | {"id": None}),
        "a team": shift(user=ADA | {"type": "team"}),
        "a user without an address": shift(user={"id": "PADA001", "type": "user_reference"}),
        "an odd address": shift(user=ADA | {"email": []}),
    },
    "Http": {
        "an error beside it": http_oncalls(error="no"),
        "of another service": http_oncalls(service="ledger"),
        "of no service": {"on_call": [ENTRY]},
        "of two": http_oncalls(service=["payments"]),
        "cut": http_oncalls(more=True),
        "another list": http_incidents(),
        "an odd name": http_oncalls(on_call=[{"username": [], "email": "ada@example.com"}]),
        "an odd address": http_oncalls(on_call=[{"username": "ada", "email": {}}]),
        "a level that is null": http_oncalls(on_call=[ENTRY | {"level": None}]),
        "an end beyond the calendar": http_oncalls(
            on_call=[ENTRY | {"until": "9999-12-31T23:59:59-10:00"}]
        ),
    },
}
UNKNOWN_INCIDENTS: dict[str, dict[str, Any]] = {
    "PagerDuty": {
        "an error beside it": incidents(error={"message": "no"}),
        "cut": incidents(more=True),
        "no word of an end": {"incidents": [TAKEN]},
        "another list": oncalls(),
        "no list of people": incidents(incidents=[TAKEN | {"acknowledgements": {}}]),
        "nobody's id": incidents(
            incidents=[TAKEN | {"acknowledgements": [{"acknowledger": {"type": "user"}}]}]
        ),
        "no id": incidents(incidents=[TAKEN | {"id": 1}]),
    },
    "Http": {
        "an error beside it": http_incidents(errors=["no"]),
        "of another service": http_incidents(service="ledger"),
        "of no service": {"incidents": [INCIDENT]},
        "cut": http_incidents(more=True),
        "another list": http_oncalls(),
        "nobody": http_incidents(incidents=[INCIDENT | {"acknowledged_by": [{}]}]),
    },
}
ANY = json.dumps(RIGHT["PagerDuty"][0] | RIGHT["Http"][0])


def rows(table: dict[str, dict[str, Any]]) -> list[Any]:
    return [
        pytest.param(adapter, said, id=f"{adapter}: {wrong}")
        for adapter, answers in table.items()
        for wrong, said in answers.items()
    ]


def made(adapter: str, url: str) -> OnCallSystem:
    if adapter == "Http":
        secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
        return Http(name="http", url=url, secret=secret)
    return PagerDuty(name="pagerduty", token="the-api-token", url=url)


@pytest.mark.parametrize("adapter", ADAPTERS)
class TestAnyAdapter:
    def test_believes_the_answer_to_its_question(self, fake: FakeOnCall, adapter: str) -> None:
        system, service = made(adapter, fake.url), ADAPTERS[adapter]
        fake.answer = RIGHT[adapter][0]
        assert len(system.who_is_on_call(service)) == 1
        fake.answer = RIGHT[adapter][1]
        assert len(system.incidents_of(service)[0].acknowledged_by) == 1

    @pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/jsonp", ""])
    def test_believes_only_what_says_that_it_is_json(
        self, fake: FakeOnCall, adapter: str, kind: str
    ) -> None:
        fake.answer, fake.content_type = RIGHT[adapter][0], kind
        with pytest.raises(OnCallUnavailable, match="JSON"):
            made(adapter, fake.url).who_is_on_call(ADAPTERS[adapter])

    @pytest.mark.parametrize(
        "text",
        [
            '{"more": true, ' + ANY[1:],
            ANY[:-1] + ', "total": NaN}',
            ANY[:-1],
            ANY + ANY,
            "",
            "null",
            '"' + "x" * 1_100_000,
        ],
        ids=["a name twice", "no number", "cut", "two answers", "empty", "null", "too much"],
    )
    def test_believes_only_what_can_be_read_in_one_way(
        self, fake: FakeOnCall, adapter: str, text: str
    ) -> None:
        fake.fails = (200, text)
        with pytest.raises(OnCallUnavailable):
            made(adapter, fake.url).who_is_on_call(ADAPTERS[adapter])

    @pytest.mark.parametrize("status", [201, 203, 204, 206, 300, 301, 302, 307, 308])
    def test_believes_no_other_status_and_follows_nobody(
        self, fake: FakeOnCall, adapter: str, status: int
    ) -> None:
        fake.fails = (status, json.dumps(RIGHT[adapter][0]))
        with on_call_fake.running() as elsewhere:
            elsewhere.answer = RIGHT[adapter][0]
            fake.redirects_to = elsewhere.url
            with pytest.raises(OnCallUnavailable, match=str(status)):
                made(adapter, fake.url).who_is_on_call(ADAPTERS[adapter])
            assert elsewhere.asked == []


class TestWhoIsOnCall:
    @pytest.mark.parametrize(("adapter", "said"), rows(NOBODY))
    def test_is_nobody_where_the_answer_says_so(
        self, fake: FakeOnCall, adapter: str, said: dict[str, Any]
    ) -> None:
        fake.answer = said
        assert made(adapter, fake.url).who_is_on_call(ADAPTERS[adapter]) == ()

    @pytest.mark.parametrize(("adapter", "said"), rows(UNKNOWN_PEOPLE))
    def test_is_unknown_where_the_answer_is_about_anything_else(
        self, fake: FakeOnCall, adapter: str, said: dict[str, Any]
    ) -> None:
        fake.answer = said
        with pytest.raises(OnCallUnavailable, match="understood"):
            made(adapter, fake.url).who_is_on_call(ADAPTERS[adapter])

    def test_reads_all_pages(self, fake: FakeOnCall) -> None:
        fake.pages = [
            oncalls(oncalls=[SHIFT] * 100, more=True, offset=0),
            oncalls(oncalls=[SHIFT | {"user": ADA | {"id": "PBO0001"}}], offset=100),
        ]
        found = made("PagerDuty", fake.url).who_is_on_call(ADAPTERS["PagerDuty"])
        assert len(found) == 101
        assert [asked.query["offset"] for asked in fake.asked] == [["0"], ["100"]]

    def test_of_a_list_without_an_end_is_unknown_before_long(self, fake: FakeOnCall) -> None:
        fake.answer = oncalls(more=True)
        with pytest.raises(OnCallUnavailable):
            made("PagerDuty", fake.url).who_is_on_call(ADAPTERS["PagerDuty"])
        assert len(fake.asked) <= 5


class TestIncidentsOf:
    @pytest.mark.parametrize(("adapter", "said"), rows(UNKNOWN_INCIDENTS))
    def test_are_unknown_where_the_answer_is_about_anything_else(
        self, fake: FakeOnCall, adapter: str, said: dict[str, Any]
    ) -> None:
        fake.answer = said
        with pytest.raises(OnCallUnavailable, match="understood"):
            made(adapter, fake.url).incidents_of(ADAPTERS[adapter])
