from __future__ import annotations

import datetime as dt
import json
import socket
from typing import Any

import pytest
from django.conf import LazySettings
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from jit.audit.models import AuditEvent
from jit.kernel import clock
from jit.kernel.errors import Conflict, InvalidInput
from jit.notifications import delivering, operations, queries
from jit.notifications.channels import addresses
from jit.notifications.models import Notification, Outcome, WebhookEndpoint
from tests.jit.notifications.conftest import REQUEST_ID, later, tell
from tests.support import people
from tests.support.receivers import Receiver

type Endpoint = tuple[WebhookEndpoint, str]


def lane(endpoint: Endpoint) -> str:
    return f"webhook:{endpoint[0].pk}"


def sent() -> Notification:
    return Notification.objects.get(channel="webhook")


class TestDeliver:
    def test_is_verified_by_the_standards_own_library(
        self, receiver: Receiver, endpoint: Endpoint
    ) -> None:
        tell()
        assert delivering.deliver_lane(lane(endpoint)) == 1
        got = receiver.received[0]
        content = Verifier(endpoint[1]).verify(got.body, got.headers)
        assert content["type"] == "jit.asked"
        assert content["data"]["requester"] == "rita"
        assert content["data"]["subject"]["id"] == REQUEST_ID
        assert content["data"]["link"].endswith(f"/requests/{REQUEST_ID}/")
        assert got.path == "/hook?from=jit"
        assert got.headers["Host"] == f"127.0.0.1:{receiver.port}"
        assert got.headers["webhook-id"] == str(sent().pk)
        assert (sent().outcome, sent().receipt) == (Outcome.DELIVERED, "204")

    def test_an_altered_body_or_another_secret_does_not_verify(
        self, receiver: Receiver, endpoint: Endpoint
    ) -> None:
        tell()
        delivering.deliver_lane(lane(endpoint))
        got = receiver.received[0]
        with pytest.raises(WebhookVerificationError):
            Verifier(endpoint[1]).verify(got.body.replace(b"rita", b"olga"), got.headers)
        with pytest.raises(WebhookVerificationError):
            Verifier("whsec_" + "QUJD" * 8).verify(got.body, got.headers)

    @pytest.mark.parametrize("failure", ["drop", 500, 404, "slow", (302, {"Location": "/next"})])
    def test_a_repetition_carries_the_same_id_and_a_signature_of_its_own_time(
        self, receiver: Receiver, endpoint: Endpoint, failure: Any
    ) -> None:
        if isinstance(failure, tuple):
            failure = (302, {"Location": f"http://127.0.0.1:{receiver.port}/next"})
        receiver.answers = [failure]
        tell()
        assert delivering.deliver_lane(lane(endpoint)) == 0
        assert sent().outcome == Outcome.WAITING
        assert sent().reason
        endpoint[0].refresh_from_db()
        assert endpoint[0].failing_since
        later(sent(), seconds=60)
        assert delivering.deliver_lane(lane(endpoint)) == 1
        assert [got.path for got in receiver.received] == ["/hook?from=jit"] * 2
        assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
        for got in receiver.received:
            Verifier(endpoint[1]).verify(got.body, got.headers)
        endpoint[0].refresh_from_db()
        assert endpoint[0].failing_since is None

    def test_waits_as_long_as_a_busy_receiver_asks(
        self, receiver: Receiver, endpoint: Endpoint
    ) -> None:
        receiver.answers = [(429, {"Retry-After": "300"})]
        tell()
        tell()
        delivering.deliver_lane(lane(endpoint))
        assert len(receiver.received) == 1
        for row in Notification.objects.filter(channel="webhook"):
            assert 295 < (row.next_try_at - clock.now()).total_seconds() <= 301

    @pytest.mark.parametrize(
        "header",
        ["soon", "-5", "²", "Wed, 99 Foo", "9" * 400, "Mon, 01 Jan 99999999999 00:00:00 GMT"],
    )
    def test_a_malformed_wait_is_no_wait_for_ever(
        self, receiver: Receiver, endpoint: Endpoint, header: str
    ) -> None:
        receiver.answers = [(503, {"Retry-After": header.encode().decode("latin-1")})]
        tell()
        delivering.deliver_lane(lane(endpoint))
        assert (sent().next_try_at - clock.now()).total_seconds() < 3601

    def test_a_receiver_that_is_gone_is_given_up_at_once(
        self, receiver: Receiver, endpoint: Endpoint
    ) -> None:
        receiver.answers = [410]
        tell()
        tell()
        delivering.deliver_lane(lane(endpoint))
        endpoint[0].refresh_from_db()
        assert not endpoint[0].enabled
        assert "wants nothing more" in endpoint[0].disabled_reason
        assert set(Notification.objects.values_list("outcome", flat=True)) == {Outcome.FAILED}
        assert len(receiver.received) == 1
        assert AuditEvent.objects.filter(action="webhook.disabled").count() == 1
        assert tell() == 0, "nothing more is written for it"

    def test_a_dripping_receiver_is_cut_off(
        self, receiver: Receiver, endpoint: Endpoint, settings: LazySettings
    ) -> None:
        receiver.answers = ["slow"]
        tell()
        began = clock.now()
        delivering.deliver_lane(lane(endpoint))
        assert (clock.now() - began).total_seconds() < 3 * settings.WEBHOOK_TIMEOUT

    def test_one_endpoint_that_hangs_leaves_the_others_alone(
        self, receiver: Receiver, endpoint: Endpoint
    ) -> None:
        other = operations.create_endpoint(
            name="other",
            url=receiver.url,
            kinds=[],
            actor=people.INSTALLER,
            now=clock.now(),
        )
        receiver.answers = [500]
        tell()
        assert delivering.deliver_lane(lane(endpoint)) == 0
        assert delivering.deliver_lane(lane(other)) == 1

    def test_a_name_that_stands_for_a_private_address_is_not_called(
        self, receiver: Receiver, endpoint: Endpoint, settings: LazySettings
    ) -> None:
        settings.WEBHOOK_NETWORKS = []
        tell()
        delivering.deliver_lane(lane(endpoint))
        assert receiver.received == []
        assert sent().outcome == Outcome.FAILED
        assert "private address" in sent().reason

    def test_a_name_that_answers_public_and_private_is_not_trusted(
        self, endpoint: Endpoint, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def both(_host: str, port: int, **_more: Any) -> list[Any]:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in ("93.184.216.34", "10.0.0.1")
            ]

        monkeypatch.setattr(addresses.socket, "getaddrinfo", both)
        tell()
        delivering.deliver_lane(lane(endpoint))
        assert "private address" in sent().reason

    def test_a_name_that_is_not_found_is_tried_again(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(*_args: Any, **_more: Any) -> None:
            raise socket.gaierror

        monkeypatch.setattr(addresses.socket, "getaddrinfo", unknown)
        tell()
        delivering.deliver_lane(lane(endpoint))
        assert sent().outcome == Outcome.WAITING
        assert "can't be looked up" in sent().reason


class TestMayReach:
    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
        ],
    )
    def test_refuses_what_is_not_on_the_internet(self, address: str) -> None:
        assert not addresses.may_reach(addresses.ipaddress.ip_address(address), [])

    @pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822"])
    def test_allows_what_is(self, address: str) -> None:
        assert addresses.may_reach(addresses.ipaddress.ip_address(address), [])

    @pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3"])
    def test_allows_what_is_listed(self, address: str) -> None:
        listed = addresses.networks(["10.1.0.0/16"])
        assert addresses.may_reach(addresses.ipaddress.ip_address(address), listed)
        assert not addresses.may_reach(addresses.ipaddress.ip_address("10.2.0.1"), listed)


class TestCheckUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "ftp://example.com/",
            "https://",
            "https:///path",
            "http://example.com/",
            "https://user:secret@example.com/",
            "https://example.com/#fragment",
            "https://example.com/a b",
            "https://exämple.com/",
            "https://example.com:99999/",
            "https://[::1",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://169.254.169.254/latest/meta-data/",
            "https://example.com/\r\nX: 1",
            "https://example.com/" + "x" * 500,
        ],
    )
    def test_refuses(self, url: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            addresses.check_url(url)
        assert refused.value.fields["url"]

    def test_allows_plain_http_to_what_is_listed(self, settings: LazySettings) -> None:
        addresses.check_url("https://hooks.example.com:8443/in?key=1")
        settings.WEBHOOK_NETWORKS = ["10.0.0.0/8"]
        addresses.check_url("http://10.1.2.3:8080/")


class TestEndpoints:
    def test_the_secret_is_sealed_for_its_row(self, endpoint: Endpoint) -> None:
        row, secret = endpoint
        assert secret.startswith("whsec_")
        assert secret.encode() not in bytes(row.sealed_secret)
        event = AuditEvent.objects.get(action="webhook.created")
        assert secret.encode() not in bytes(event.body)
        assert b"/hook" not in bytes(event.body), "paths of webhooks hold keys"

    def test_another_rows_secret_does_not_open(
        self, receiver: Receiver, endpoint: Endpoint
    ) -> None:
        other, _ = operations.create_endpoint(
            name="other",
            url=receiver.url,
            kinds=["ended"],
            actor=people.INSTALLER,
            now=clock.now(),
        )
        WebhookEndpoint.objects.filter(pk=endpoint[0].pk).update(sealed_secret=other.sealed_secret)
        tell()
        delivering.deliver_lane(lane(endpoint))
        assert receiver.received == []
        assert sent().outcome == Outcome.FAILED

    def test_both_secrets_sign_for_a_day_after_a_change(
        self, receiver: Receiver, endpoint: Endpoint
    ) -> None:
        row, old = endpoint
        new = operations.rotate_secret(endpoint=row, actor=people.INSTALLER, now=clock.now())
        tell()
        delivering.deliver_lane(lane(endpoint))
        got = receiver.received[0]
        Verifier(old).verify(got.body, got.headers)
        Verifier(new).verify(got.body, got.headers)
        WebhookEndpoint.objects.update(old_secret_until=clock.now() - dt.timedelta(seconds=1))
        tell()
        delivering.deliver_lane(lane(endpoint))
        got = receiver.received[1]
        Verifier(new).verify(got.body, got.headers)
        with pytest.raises(WebhookVerificationError):
            Verifier(old).verify(got.body, got.headers)
        assert AuditEvent.objects.filter(action="webhook.secret-rotated").count() == 1

    def test_a_test_goes_to_one_endpoint_alone(
        self, receiver: Receiver, endpoint: Endpoint
    ) -> None:
        operations.send_test(endpoint=endpoint[0], now=clock.now())
        delivering.deliver_lane(lane(endpoint))
        assert json.loads(receiver.received[0].body)["type"] == "jit.test"

    def test_changing_is_on_the_record_and_disabling_settles_what_waits(
        self, endpoint: Endpoint
    ) -> None:
        row, _ = endpoint
        tell()
        operations.change_endpoint(
            endpoint=row,
            changes={"enabled": False, "kinds": ["ended", "ended"]},
            actor=people.INSTALLER,
            now=clock.now(),
        )
        row.refresh_from_db()
        assert (row.enabled, row.kinds) == (False, ["ended"])
        assert sent().outcome == Outcome.FAILED
        assert AuditEvent.objects.filter(action="webhook.changed").count() == 1
        with pytest.raises(Conflict):
            operations.send_test(endpoint=row, now=clock.now())
        operations.change_endpoint(
            endpoint=row, changes={"enabled": True}, actor=people.INSTALLER, now=clock.now()
        )
        assert tell() == 0, "it wants ends alone now"

    def test_removing_keeps_the_history_and_no_secret(self, endpoint: Endpoint) -> None:
        row, _ = endpoint
        tell()
        operations.remove_endpoint(endpoint=row, actor=people.INSTALLER, now=clock.now())
        row.refresh_from_db()
        assert bytes(row.sealed_secret) == b""
        assert list(queries.endpoints()) == []
        assert queries.deliveries_to(row).count() == 1
        with pytest.raises(queries.UnknownEndpoint):
            queries.endpoint(row.pk)
        assert AuditEvent.objects.filter(action="webhook.removed").count() == 1

    def test_names_are_taken_once(self, endpoint: Endpoint, receiver: Receiver) -> None:
        with pytest.raises(operations.EndpointTaken):
            operations.create_endpoint(
                name="siem", url=receiver.url, kinds=[], actor=people.INSTALLER, now=clock.now()
            )

    @pytest.mark.parametrize(
        "wrong", [{"name": " "}, {"name": "a\nb"}, {"kinds": ["nonsense"]}, {"url": "https://::"}]
    )
    def test_refuses_what_makes_no_sense(self, db: None, wrong: dict[str, Any]) -> None:
        values = {"name": "siem", "url": "https://example.com/", "kinds": []} | wrong
        with pytest.raises(InvalidInput):
            operations.create_endpoint(**values, actor=people.INSTALLER, now=clock.now())
