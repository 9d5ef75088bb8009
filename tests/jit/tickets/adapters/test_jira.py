"""The Jira adapter against `jira820` (third party), and against faults of our own making."""

from __future__ import annotations

import datetime as dt
import json
import logging

import pytest
from jira import JIRA

from jit.tickets.adapters import jira
from jit.tickets.adapters.base import (
    TicketForbidden,
    TicketNotFound,
    TicketSnapshot,
    TicketSystemUnavailable,
)
from jit.tickets.adapters.jira import Jira


@pytest.fixture
def adapter(jira_url: str) -> Jira:
    return Jira(name="jira", url=jira_url, user="jit", token="throw-away")


def opened(people: JIRA, **fields: object) -> str:
    issue = people.create_issue(
        fields={
            "project": {"key": "PAY"},
            "summary": "Payments are stuck",
            "issuetype": {"name": "Bug"},
            "assignee": {"name": "rita"},
            "priority": {"name": "High"},
            "components": [{"name": "Payments"}],
            **fields,
        },
        prefetch=False,
    )
    return str(issue.key)


def closed(people: JIRA, key: str) -> None:
    transition = next(t["id"] for t in people.transitions(key) if t["to"]["name"] == "Done")
    people.transition_issue(key, transition)


class TestFetch:
    def test_returns_the_ticket_as_it_is(self, adapter, people_in_jira, jira_url) -> None:
        key = opened(people_in_jira)
        ticket = adapter.fetch(key)
        assert (ticket.system, ticket.key, ticket.url) == ("jira", key, f"{jira_url}/browse/{key}")
        assert (ticket.title, ticket.status, ticket.is_open) == ("Payments are stuck", "Open", True)
        assert (ticket.severity, ticket.assignee) == (2, "rita@example.com")
        assert (ticket.service, ticket.type) == ("Payments", "bug")
        assert TicketSnapshot.from_json(ticket.as_json()) == ticket

    def test_calls_the_status_category_done_closed(self, adapter, people_in_jira) -> None:
        key = opened(people_in_jira)
        closed(people_in_jira, key)
        ticket = adapter.fetch(key)
        assert (ticket.status, ticket.is_open) == ("Done", False)

    def test_tells_an_unknown_ticket_from_a_silent_system(self, adapter) -> None:
        with pytest.raises(TicketNotFound) as refused:
            adapter.fetch("PAY-99999")
        assert refused.value.status == 422
        assert not isinstance(refused.value, TicketForbidden)

    @pytest.mark.parametrize(
        ("priority", "severity"),
        [("Highest", 1), ("Lowest", 5), ("SEV2", 2), ("Unclassified", None)],
    )
    def test_reads_the_severity_and_guesses_none(
        self, adapter, people_in_jira, priority, severity
    ) -> None:
        key = opened(people_in_jira, priority={"name": priority})
        assert adapter.fetch(key).severity == severity

    def test_reads_the_severity_from_a_custom_field(self, jira_url, people_in_jira) -> None:
        key = opened(people_in_jira, customfield_10004="Sev 1: everything is down")
        table = {"Sev 1: everything is down": 1}
        adapter = Jira(
            name="jira", url=jira_url, severity_field="customfield_10004", severities=table
        )
        assert adapter.fetch(key).severity == 1

    def test_a_table_of_severities_leaves_nothing_to_guess(self, jira_url, people_in_jira) -> None:
        key = opened(people_in_jira, priority={"name": "SEV2"})
        adapter = Jira(name="jira", url=jira_url, severities={"Highest": 1})
        assert adapter.fetch(key).severity is None

    def test_nobody_assigned_is_nobody(self, adapter, people_in_jira) -> None:
        key = opened(people_in_jira, assignee=None)
        assert adapter.fetch(key).assignee is None

    def test_takes_the_login_where_the_settings_say_so(self, jira_url, people_in_jira) -> None:
        key = opened(people_in_jira)
        adapter = Jira(name="jira", url=jira_url, assignee_by="name")
        assert adapter.fetch(key).assignee == "rita"

    def test_cuts_a_hostile_title(self, adapter, people_in_jira) -> None:
        key = opened(people_in_jira, summary="x" * 5000)
        assert len(adapter.fetch(key).title) == 300


class TestFetchFromABrokenJira:
    @pytest.mark.parametrize(
        ("status", "headers", "refusal"),
        [
            (404, {}, TicketNotFound),
            (403, {}, TicketForbidden),
            (403, {"X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE"}, TicketSystemUnavailable),
            (401, {}, TicketSystemUnavailable),
            (429, {"Retry-After": "3600"}, TicketSystemUnavailable),
            (500, {}, TicketSystemUnavailable),
            (503, {"Retry-After": "3600"}, TicketSystemUnavailable),
            (302, {"Location": "http://127.0.0.1:9/login"}, TicketSystemUnavailable),
        ],
    )
    def test_tells_the_answers_apart(self, faulty, status, headers, refusal) -> None:
        faulty.status, faulty.headers, faulty.body = status, headers, "{}"
        with pytest.raises(refusal) as refused:
            Jira(name="jira", url=faulty.url).fetch("PAY-1")
        assert type(refused.value) is refusal
        assert len(faulty.asked) == 1

    @pytest.mark.parametrize(
        "body",
        [
            "<html>Sign in</html>",
            "{}",
            "[]",
            json.dumps({"key": "PAY-1", "fields": {"status": {"name": "Open"}}}),
            json.dumps({"key": "PAY-1", "fields": None}),
            json.dumps(
                {
                    "key": "../../admin",
                    "fields": {"status": {"name": "Open", "statusCategory": {"key": "new"}}},
                }
            ),
        ],
    )
    def test_never_takes_nonsense_for_a_ticket(self, faulty, body) -> None:
        faulty.body = body
        with pytest.raises(TicketSystemUnavailable):
            Jira(name="jira", url=faulty.url).fetch("PAY-1")

    def test_gives_up_on_a_silent_machine(self, silent, monkeypatch) -> None:
        monkeypatch.setattr(jira, "READ_SECONDS", 0.05)
        with pytest.raises(TicketSystemUnavailable, match="in time"):
            Jira(name="jira", url=silent).fetch("PAY-1")

    def test_gives_up_on_a_closed_port(self) -> None:
        with pytest.raises(TicketSystemUnavailable, match="connected"):
            Jira(name="jira", url="http://127.0.0.1:1").fetch("PAY-1")

    def test_never_shows_the_credentials(self, faulty, caplog) -> None:
        caplog.set_level(logging.DEBUG)
        faulty.status = 500
        with pytest.raises(TicketSystemUnavailable) as refused:
            Jira(name="jira", url=faulty.url, token="hunter2-token").fetch("PAY-1")
        assert "hunter2-token" not in caplog.text + refused.value.detail
        assert refused.value.__cause__ is None


class TestComment:
    def test_writes_the_text(self, adapter, people_in_jira) -> None:
        key = opened(people_in_jira)
        adapter.comment(key, "rita has orders-db-writer until 14:05 UTC", "jit:1:active")
        assert [comment.body for comment in people_in_jira.comments(key)] == [
            "rita has orders-db-writer until 14:05 UTC\n\n(jit:1:active)"
        ]

    def test_a_retry_after_a_crash_does_not_repeat_it(self, adapter, people_in_jira) -> None:
        key = opened(people_in_jira)
        adapter.comment(key, "active", "jit:1:active")
        adapter.comment(key, "active", "jit:1:active")
        adapter.comment(key, "ended", "jit:1:ended")
        assert len(people_in_jira.comments(key)) == 2

    def test_finds_its_marker_behind_a_page_of_others(self, adapter, people_in_jira) -> None:
        key = opened(people_in_jira)
        for number in range(105):
            people_in_jira.add_comment(key, f"chatter {number}")
        adapter.comment(key, "active", "jit:1:active")
        adapter.comment(key, "active", "jit:1:active")
        assert len(people_in_jira.comments(key, max_results=500)) == 106

    def test_a_write_is_never_tried_twice(self, faulty) -> None:
        faulty.status = 503
        with pytest.raises(TicketSystemUnavailable):
            Jira(name="jira", url=faulty.url).comment("PAY-1", "active", "m")
        assert len(faulty.asked) == 1

    def test_hostile_text_mentions_nobody_and_links_nothing(self, adapter, people_in_jira) -> None:
        key = opened(people_in_jira)
        adapter.comment(key, "[~admin] {html}x{html} !http://e.example/a.png! a|b", "m")
        (comment,) = people_in_jira.comments(key)
        assert comment.body.startswith(
            r"\[\~admin\] \{html\}x\{html\} \!http://e.example/a.png\! a\|b"
        )

    def test_says_that_the_ticket_is_gone(self, adapter, people_in_jira) -> None:
        key = opened(people_in_jira)
        people_in_jira._session.delete(f"{adapter.url}/rest/api/2/issue/{key}")
        with pytest.raises(TicketNotFound):
            adapter.comment(key, "active", "m")


class TestKeyOf:
    @pytest.fixture
    def adapter(self) -> Jira:
        return Jira(name="jira", url="https://jira.corp.example/jira", projects=["PAY", "OPS_2"])

    @pytest.mark.parametrize(
        "reference",
        [
            "PAY-12",
            "pay-12",
            "https://jira.corp.example/jira/browse/PAY-12",
            "https://jira.corp.example/jira/browse/PAY-12?focusedId=3#comment",
            "https://jira.corp.example/jira/projects/PAY/issues/PAY-12",
            "https://jira.corp.example/jira/secure/RapidBoard.jspa?rapidView=1&selectedIssue=PAY-12",
        ],
    )
    def test_knows_its_own(self, adapter, reference) -> None:
        assert adapter.key_of(reference) == "PAY-12"

    @pytest.mark.parametrize(
        "reference",
        [
            "",
            "PAY",
            "PAY-0",
            "PAY-1/../../admin",
            "PAY-1\n",
            "PAY-١",  # noqa: RUF001 -- an Arabic digit
            "HR-1",
            "https://jira.corp.example.evil.example/jira/browse/PAY-12",
            "https://jira.corp.example@evil.example/jira/browse/PAY-12",
            "https://rita@jira.corp.example/jira/browse/PAY-12",
            "http://jira.corp.example/jira/browse/PAY-12",
            "https://jira.corp.example:8443/jira/browse/PAY-12",
            "https://jira.corp.example/browse/PAY-12",
            "https://jira.corp.example/jira/browse/PAY-12/../../x",
            "https://[::1/jira/browse/PAY-12",
            "javascript://jira.corp.example/jira/browse/PAY-12",
        ],
    )
    def test_knows_no_other(self, adapter, reference) -> None:
        assert adapter.key_of(reference) is None


class TestSettings:
    @pytest.mark.parametrize(
        "wrong", [{"url": "jira.corp.example"}, {"url": "https://j.example", "assignee_by": "x"}]
    )
    def test_refuses_what_it_can_not_run_with(self, wrong) -> None:
        with pytest.raises(TypeError):
            Jira(name="jira", **wrong)


def answer(key: str = "PAY-1", **more: object) -> str:
    """Return an issue as Jira's documents show it, with its changelog."""
    fields = {
        "summary": "Payments are stuck",
        "status": {"name": "Open", "statusCategory": {"key": "new"}},
        "priority": {"name": "High"},
        "issuetype": {"name": "Bug"},
        "components": [],
        "assignee": {"name": "rita", "emailAddress": "rita@example.com"},
        "creator": {"name": "pager", "emailAddress": "pager@example.com"},
        "created": "2026-01-31T09:00:00.000+0000",
    }
    whole = {"key": key, "fields": {**fields, **more.pop("fields", {})}, **more}
    return json.dumps(whole)


def changelog(
    *items: dict[str, object], author: object = None, total: int = 1
) -> dict[str, object]:
    ada = {"name": "ada", "emailAddress": "ada@example.com"}
    return {"total": total, "histories": [{"author": author or ada, "items": list(items)}]}


class TestAMovedIssue:
    """Jira answers under an issue's old key with the new one."""

    @pytest.fixture
    def adapter(self, faulty) -> Jira:
        faulty.body = answer("PLAY-3")
        return Jira(name="jira", url=faulty.url, projects=["PAY"])

    def test_a_moved_issue_is_not_taken_from_a_foreign_project(self, adapter) -> None:
        with pytest.raises(TicketNotFound, match="PAY-1 is PLAY-3"):
            adapter.fetch("PAY-1")

    def test_nothing_is_written_under_an_issue_in_a_foreign_project(self, adapter, faulty) -> None:
        with pytest.raises(TicketNotFound, match="PAY-1 is PLAY-3"):
            adapter.comment("PAY-1", "active", "m")
        assert [asked.split()[0] for asked in faulty.asked] == ["GET"]

    def test_is_followed_into_a_project_that_counts(self, faulty) -> None:
        moved = {"field": "Key", "fromString": "PAY-1", "toString": "OPS-3"}
        faulty.body = answer("OPS-3", changelog=changelog(moved))
        adapter = Jira(name="jira", url=faulty.url, projects=["PAY", "OPS"])
        assert adapter.fetch("PAY-1").key == "OPS-3"


class TestWhoWroteIt:
    def test_tells_who_opened_it_and_when(self, faulty) -> None:
        faulty.body = answer()
        ticket = Jira(name="jira", url=faulty.url).fetch("PAY-1")
        assert ticket.opened_by == "pager@example.com"
        assert ticket.opened_at == dt.datetime(2026, 1, 31, 9, tzinfo=dt.UTC)
        assert ticket.changed_by is None  # this Jira kept its history to itself
        assert TicketSnapshot.from_json(ticket.as_json()) == ticket

    @pytest.mark.parametrize(
        ("history", "changed_by"),
        [
            (changelog({"field": "priority"}), ("ada@example.com",)),
            (changelog({"field": "Severity", "fieldId": "customfield_1"}), ("ada@example.com",)),
            (changelog({"field": "assignee"}, {"field": "status"}), ("ada@example.com",)),
            (changelog({"field": "a field that nobody knows"}), ("ada@example.com",)),
            (changelog({"field": "resolution", "to": None}), ("ada@example.com",)),
            (changelog({"field": "resolution", "to": "1"}, {"field": "status"}), ()),
            (changelog({"field": "labels"}, {"field": "summary"}), ()),
            (changelog({"field": "labels"}, total=2), None),
            (changelog({"field": "priority"}, author={"displayName": "Ada"}), None),
            ({"total": 0, "histories": []}, ()),
        ],
    )
    def test_tells_who_changed_what_policy_reads(self, faulty, history, changed_by) -> None:
        faulty.body = answer(changelog=history)
        ticket = Jira(name="jira", url=faulty.url, severity_field="customfield_1").fetch("PAY-1")
        assert ticket.changed_by == changed_by

    def test_a_hidden_assignee_is_not_nobody(self, faulty) -> None:
        faulty.body = answer(fields={"assignee": {"displayName": "Rita"}})
        ticket = Jira(name="jira", url=faulty.url).fetch("PAY-1")
        assert (ticket.assignee, ticket.unknown) == (None, ("assignee",))
