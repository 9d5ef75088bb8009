from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from jit.oncall.adapters.base import Contact, OnCallUnavailable
from jit.oncall.adapters.generic import Http
from tests.standins.on_call_fake import FakeOnCall

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def http(url: str, **more: Any) -> Http:
    return Http(name="http", url=url, secret=SECRET, **more)


def lowered(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class TestAsking:
    def test_is_signed_so_that_the_receiver_can_tell(self, fake: FakeOnCall) -> None:
        """Verified by the standard's own library, as whoever answers would."""
        fake.answer = {"service": "payments", "on_call": []}
        http(fake.url).who_is_on_call("payments")
        asked = fake.asked[0]
        assert asked.method == "POST"
        read = Webhook(SECRET).verify(asked.body, lowered(asked.headers))
        assert read == {"type": "on-call", "service": "payments"}
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(
                asked.body.replace(b"payments", b"ledger"), lowered(asked.headers)
            )

    def test_gives_every_question_a_number_of_its_own(self, fake: FakeOnCall) -> None:
        fake.answer = {"service": "payments", "on_call": []}
        http(fake.url).who_is_on_call("payments")
        http(fake.url).who_is_on_call("payments")
        ids = {lowered(asked.headers)["webhook-id"] for asked in fake.asked}
        assert len(ids) == 2

    @pytest.mark.parametrize("fails", [500, 302, 401, (200, "no"), (200, "{}"), (200, "[]")])
    def test_takes_any_other_answer_for_silence(self, fake: FakeOnCall, fails: Any) -> None:
        fake.fails = fails
        with pytest.raises(OnCallUnavailable):
            http(fake.url).who_is_on_call("payments")
        with pytest.raises(OnCallUnavailable):
            http(fake.url).incidents_of("payments")
        assert len(fake.asked) == 2


class TestWhoIsOnCall:
    def test_reads_names_addresses_levels_and_ends(self, fake: FakeOnCall) -> None:
        fake.answer = {
            "service": "payments",
            "on_call": [
                {"username": "ada"},
                {"email": "Bo@Example.com", "level": 2, "until": "2100-01-01T00:00:00Z"},
                {"username": "olga", "level": 3},
                {"username": "otto", "until": "2020-01-01T00:00:00Z"},
            ],
        }
        found = http(fake.url, levels=2).who_is_on_call("payments")
        assert [(p.contact, p.level) for p in found] == [
            (Contact(username="ada"), 1),
            (Contact(email="bo@example.com"), 2),
        ]
        assert found[1].until == dt.datetime(2100, 1, 1, tzinfo=dt.UTC)

    @pytest.mark.parametrize(
        "entry",
        [
            None,
            {},
            {"username": 1},
            {"username": "ada", "level": "1"},
            {"username": "ada", "level": True},
            {"username": "ada", "until": 5},
            {"username": "ada", "until": "2100-01-01T00:00:00"},
        ],
    )
    def test_takes_an_entry_it_cannot_read_for_silence(self, fake: FakeOnCall, entry: Any) -> None:
        fake.answer = {"service": "payments", "on_call": [{"username": "bo"}, entry]}
        with pytest.raises(OnCallUnavailable, match="can't be understood"):
            http(fake.url).who_is_on_call("payments")


class TestIncidentsOf:
    def test_reads_who_acknowledged(self, fake: FakeOnCall) -> None:
        fake.answer = {
            "service": "payments",
            "incidents": [{"key": "INC-1", "acknowledged_by": [{"username": "ada"}]}],
        }
        found = http(fake.url).incidents_of("payments")
        assert found[0].key == "INC-1"
        assert found[0].acknowledged_by == (Contact(username="ada"),)
        assert json.loads(fake.asked[0].body)["type"] == "incidents"

    def test_takes_a_text_for_no_list(self, fake: FakeOnCall) -> None:
        fake.answer = {
            "service": "payments",
            "incidents": [{"key": "INC-1", "acknowledged_by": "ada"}],
        }
        with pytest.raises(OnCallUnavailable):
            http(fake.url).incidents_of("payments")


class TestSettings:
    @pytest.mark.parametrize(
        "more",
        [
            {"secret": ""},
            {"secret": "whsec_no base64"},
            {"levels": 0},
            {"url": "http://on-call.corp.example"},
        ],
    )
    def test_refuse_what_cannot_be_run_with(self, more: dict[str, Any]) -> None:
        with pytest.raises(TypeError):
            Http(**({"name": "http", "url": "https://x.example", "secret": SECRET} | more))

    def test_refuse_a_service_with_other_characters(self) -> None:
        with pytest.raises(ValueError, match="characters"):
            http("https://x.example").check("pay ments")
        http("https://x.example").check("payments/db.eu")
