"""What was asked of a ticket system is what its answer must be about: this very ticket, open or
closed, whole, and people who are who they seem. Anything else is unknown, never a ticket.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from jit.kernel import clock
from jit.tickets.adapters import bounded
from jit.tickets.adapters.base import TicketNotFound, TicketSystemUnavailable
from jit.tickets.adapters.jira import Jira

FIELDS: dict[str, Any] = {
    "summary": "Payments are stuck",
    "status": {"name": "Open", "statusCategory": {"key": "new"}},
    "priority": {"name": "High"},
    "issuetype": {"name": "Bug"},
    "components": [{"name": "payments"}],
    "assignee": {"name": "rita", "emailAddress": "rita@example.com"},
    "creator": {"name": "pager", "emailAddress": "pager@example.com"},
    "created": "2026-01-31T09:00:00.000+0000",
}
ADA = {"name": "ada", "emailAddress": "ada@example.com"}
NO_CHANGE = {"total": 0, "histories": []}


def issue(key: object = "PAY-1", *, fields: Any = None, **more: Any) -> dict[str, Any]:
    return {"key": key, "fields": FIELDS | (fields or {}), "changelog": NO_CHANGE} | more


def status(category: object, name: object = "Open") -> dict[str, Any]:
    return issue(fields={"status": {"name": name, "statusCategory": {"key": category}}})


def changes(*histories: Any, total: Any = None) -> dict[str, Any]:
    total = len(histories) if total is None else total
    return {"total": total, "histories": list(histories)}


def moved(before: str, after: str) -> dict[str, Any]:
    item = {"field": "Key", "fieldtype": "jira", "fromString": before, "toString": after}
    return {"author": ADA, "items": [item]}


UNKNOWN: dict[str, Any] = {
    "another ticket": issue("PAY-2"),
    "another project's": issue("OPS-1"),
    "moved from elsewhere": issue("OPS-1", changelog=changes(moved("PAY-9", "OPS-1"))),
    "another without its history": issue("OPS-1", changelog=None),
    "a key in a list": issue(["PAY-1"]),
    "errors that are called a success": issue(errorMessages=["no permission"]),
    "no category": status("undefined"),
    "an unknown category": status("doing"),
    "a category that is null": status(None),
    "a category in a list": status(["new"]),
    "a status without a name": status("new", name=None),
    "a status in numbers": status("new", name={"a": 1}),
    "a title in a list": issue(fields={"summary": ["x"]}),
    "a NUL in the service": issue(fields={"components": [{"name": "pay\0ments"}]}),
    "half a letter": issue(fields={"issuetype": {"name": "\ud800"}}),
    "a service without a name": issue(fields={"components": [{"id": 5}]}),
    "a service that is true": issue(fields={"components": True}),
    "an assignee in a list": issue(fields={"assignee": [ADA]}),
    "an address in a list": issue(fields={"assignee": {"emailAddress": ["rita@example.com"]}}),
    "a time without its zone": issue(fields={"created": "2026-01-31T09:00:00"}),
    "a time beyond the calendar": issue(fields={"created": "0001-01-01T00:00:00+14:00"}),
    "a time in numbers": issue(fields={"created": 20260131}),
    "changes below none": issue(changelog=changes(total=-5)),
    "changes that are true": issue(changelog=changes(total=True)),
    "changes in an object": issue(changelog={"total": 0, "histories": {}}),
    "a change of an object": issue(changelog=changes({"author": ADA, "items": {}})),
}


@pytest.fixture
def jira(faulty: Any) -> Jira:
    return Jira(name="jira", url=faulty.url)


class TestFetch:
    @pytest.mark.parametrize("wrong", UNKNOWN)
    def test_anything_but_the_ticket_is_unknown(self, faulty: Any, jira: Jira, wrong: str) -> None:
        faulty.body = json.dumps(UNKNOWN[wrong])
        with pytest.raises(TicketSystemUnavailable):
            jira.fetch("PAY-1")

    @pytest.mark.parametrize(
        ("category", "is_open"), [("new", True), ("indeterminate", True), ("done", False)]
    )
    def test_is_open_where_the_answer_says_so(
        self, faulty: Any, jira: Jira, category: str, is_open: bool
    ) -> None:
        faulty.body = json.dumps(status(category))
        assert jira.fetch("PAY-1").is_open is is_open

    def test_follows_an_issue_whose_history_tells_of_the_move(
        self, faulty: Any, jira: Jira
    ) -> None:
        history = changes(moved("PAY-1", "OPS-3"), moved("OPS-3", "INF-9"))
        faulty.body = json.dumps(issue("INF-9", changelog=history))
        assert jira.fetch("PAY-1").key == "INF-9"

    def test_of_another_ticket_says_what_to_name(self, faulty: Any, jira: Jira) -> None:
        faulty.body = json.dumps(issue("PAYMENTS-1"))
        with pytest.raises(TicketSystemUnavailable, match="name it PAYMENTS-1"):
            jira.fetch("PAY-1")

    @pytest.mark.parametrize(
        ("headers", "code", "body"),
        [
            ({"Content-Type": "text/html"}, 200, json.dumps(issue())),
            ({"Content-Type": ""}, 200, json.dumps(issue())),
            ({}, 203, json.dumps(issue())),
            ({}, 206, json.dumps(issue())),
            ({}, 204, ""),
            ({}, 200, ""),
            ({}, 200, "[" * 100_000),
            ({}, 200, '{"a":' * 900 + "1" + "}" * 900),
            ({}, 200, json.dumps(issue())[:-1] + ', "key": "PAY-1"}'),
            ({}, 200, json.dumps(issue(x="x" * 5_100_000))),
            ({"Content-Encoding": "gzip"}, 200, json.dumps(issue())),
        ],
        ids=[
            "HTML", "of no type", "somebody else's", "a part", "nothing", "empty", "too deep",
            "deep", "a key twice", "too much", "packed",
        ],
    )  # fmt: skip
    def test_believes_only_a_whole_answer_in_json(
        self, faulty: Any, jira: Jira, headers: dict[str, str], code: int, body: str
    ) -> None:
        faulty.headers, faulty.status, faulty.body = headers, code, body
        with pytest.raises(TicketSystemUnavailable):
            jira.fetch("PAY-1")

    @pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
    def test_follows_nobody_elsewhere(self, faulty: Any, jira: Jira, code: int) -> None:
        asked: list[str] = []

        class Elsewhere(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)

        with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            faulty.status, faulty.body = code, json.dumps(issue())
            faulty.headers = {"Location": f"http://127.0.0.1:{server.server_address[1]}/"}
            try:
                with pytest.raises(TicketSystemUnavailable):
                    jira.fetch("PAY-1")
            finally:
                server.shutdown()
                thread.join()
        assert asked == []

    def test_is_not_held_by_a_byte_now_and_then(
        self, jira: Jira, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bounded, "ALL_SECONDS", 0.3)
        over = threading.Event()

        class Dripping(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "1000000")
                self.end_headers()
                for _ in range(100):
                    if over.wait(0.1):
                        break
                    self.wfile.write(b" ")

            def log_message(self, *_args: object) -> None:
                """Keep the test's output clean."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_args: object) -> None:
                """Say nothing of a client that hangs up."""

        with Server(("127.0.0.1", 0), Dripping) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                dripping = Jira(name="jira", url=f"http://127.0.0.1:{server.server_address[1]}")
                with pytest.raises(TicketSystemUnavailable, match="in time"):
                    dripping.fetch("PAY-1")
            finally:
                over.set()
                server.shutdown()
                thread.join()


class TestWhoSomebodyIs:
    def test_a_login_does_not_stand_for_a_hidden_address(self, faulty: Any, jira: Jira) -> None:
        """The Jira login `rita` may be another person than our rita."""
        faulty.body = json.dumps(
            issue(fields={"assignee": {"name": "rita"}, "creator": {"name": "rita"}})
        )
        ticket = jira.fetch("PAY-1")
        assert (ticket.assignee, ticket.opened_by) == (None, None)
        assert ticket.unknown == ("assignee",)

    def test_an_address_that_is_none_does_not_stand_for_a_username(
        self, faulty: Any, jira: Jira
    ) -> None:
        faulty.body = json.dumps(issue(fields={"assignee": {"emailAddress": "rita"}}))
        assert jira.fetch("PAY-1").unknown == ("assignee",)

    def test_an_assignee_that_was_left_out_is_not_nobody(self, faulty: Any, jira: Jira) -> None:
        fields = {name: value for name, value in FIELDS.items() if name != "assignee"}
        faulty.body = json.dumps(issue() | {"fields": fields})
        assert jira.fetch("PAY-1").unknown == ("assignee",)

    def test_nobody_assigned_is_known(self, faulty: Any, jira: Jira) -> None:
        faulty.body = json.dumps(issue(fields={"assignee": None}))
        ticket = jira.fetch("PAY-1")
        assert (ticket.assignee, ticket.unknown) == (None, ())

    def test_a_ticket_of_tomorrow_is_of_no_known_age(self, faulty: Any, jira: Jira) -> None:
        tomorrow = (clock.now() + dt.timedelta(days=1)).isoformat()
        faulty.body = json.dumps(issue(fields={"created": tomorrow}))
        assert jira.fetch("PAY-1").opened_at is None


class TestSeverity:
    @pytest.mark.parametrize(
        ("value", "severity"),
        [
            (1, 1), (1.0, 1), ([{"name": "P2"}], 2), ("SEV-3", 3), ("2 - High", 2),
            (1.5, None), ("1,5", None), (-1, None), ("-1", None), (12, None),
            ([{"name": "P1"}, {"name": "P4"}], None), ([], None), (None, None),
        ],
    )  # fmt: skip
    def test_is_read_or_unknown(
        self, faulty: Any, jira: Jira, value: object, severity: int | None
    ) -> None:
        faulty.body = json.dumps(issue(fields={"priority": value}))
        assert jira.fetch("PAY-1").severity == severity


class TestComment:
    """The fake says the same to each question; so it answers as ticket, comments and comment."""

    def test_is_written_once_the_answer_shows_it(self, faulty: Any, jira: Jira) -> None:
        faulty.body = json.dumps(issue(comments=[], body="active\n\n(m)"))
        jira.comment("PAY-1", "active", "m")
        assert [asked.split()[0] for asked in faulty.asked] == ["GET", "GET", "POST"]

    def test_that_the_answer_does_not_show_is_not_written(self, faulty: Any, jira: Jira) -> None:
        faulty.body = json.dumps(issue(comments=[], body="something else"))
        with pytest.raises(TicketSystemUnavailable):
            jira.comment("PAY-1", "active", "m")

    @pytest.mark.parametrize(
        ("body", "refusal"),
        [(issue("OPS-1"), TicketSystemUnavailable), (issue("HR-1"), TicketNotFound)],
    )
    def test_is_not_written_under_another_ticket(
        self, faulty: Any, body: Any, refusal: type[Exception]
    ) -> None:
        faulty.body = json.dumps(body | {"comments": []})
        with pytest.raises(refusal):
            Jira(name="jira", url=faulty.url, projects=["PAY", "OPS"]).comment("PAY-1", "a", "m")
        assert [asked.split()[0] for asked in faulty.asked] == ["GET"]
