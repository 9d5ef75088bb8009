"""Jira (Data Center and Cloud, REST v2) through Atlassian users' own client, `jira`."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from jira import JIRA
from jira.exceptions import JIRAError

from jit.kernel import clock
from jit.tickets.adapters.base import (
    LONGEST_TITLE,
    TicketForbidden,
    TicketNotFound,
    TicketSnapshot,
    TicketSystemUnavailable,
)

CONNECT_SECONDS, READ_SECONDS = 2, 3
LONGEST_COMMENT = 4000
COMMENTS_A_PAGE = 100
_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,19}-[1-9][0-9]{0,9}", re.ASCII)
_ISSUE_PATH = re.compile(r"/(?:browse|projects/[^/]+/issues|issues)/([^/]+)/?", re.ASCII)
_MARKUP = re.compile(r"([\\{}\[\]|!~^])")
_NUMBERED = re.compile(
    r"(?:sev|severity|p|prio|priority|s)?\s*-?\s*([0-5])(?:\b|\s|-)", re.IGNORECASE
)
SEVERITIES = {
    "blocker": 1,
    "highest": 1,
    "critical": 2,
    "high": 2,
    "major": 3,
    "medium": 3,
    "minor": 4,
    "low": 4,
    "trivial": 5,
    "lowest": 5,
}
"""Jira's own two schemes of priorities. Others are given as `severities` in the settings."""

_HARMLESS = frozenset(
    {
        "attachment", "comment", "description", "environment", "labels", "link", "rank",
        "remoteissuelink", "sprint", "status", "summary", "timeestimate", "timeoriginalestimate",
        "timespent", "workflow", "worklogid",
    }
)  # fmt: skip
"""Fields of a changelog (`fieldId`, or `field`) that policy reads nothing of."""

_NONSENSE = (
    requests.exceptions.RequestException,
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)
"""What the client and our reading of its answer raise for JSON of another shape, for HTML, and
for a redirect.
"""


class Jira:
    """Reads issues and writes comments with a service account that need not do more.

    Settings: `url`; `user` and `token` for basic authentication (Cloud: e-mail and API token)
    or `token` alone for a personal access token; `severity_field` (`priority`, or a custom
    field such as `customfield_10042`); `severities`, from that field's values to 1..5;
    `service_field` (`components`, or a custom field); `assignee_by` (`email` or `name`);
    `projects`, the only project keys that count, when given.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        user: str = "",
        token: str = "",
        severity_field: str = "priority",
        severities: Mapping[str, int] | None = None,
        service_field: str = "components",
        assignee_by: str = "email",
        projects: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self._address = urlsplit(self.url)
        if self._address.scheme not in {"http", "https"} or not self._address.hostname:
            raise TypeError("url must be the http(s) address of a Jira")
        if assignee_by not in {"email", "name"}:
            raise TypeError("assignee_by must be email or name")
        self._user, self._token = user, token
        self._severity_field, self._service_field = severity_field, service_field
        self._severities = {
            label.casefold(): level for label, level in (severities or SEVERITIES).items()
        }
        self._guess_numbers = severities is None
        self._assignee_by = assignee_by
        self._projects = frozenset(projects)

    # --- References -------------------------------------------------------------------

    def key_of(self, reference: str) -> str | None:
        if "://" in reference:
            reference = self._key_in(reference) or ""
        key = reference.upper()
        if not _KEY.fullmatch(key):
            return None
        if self._projects and key.rsplit("-", 1)[0] not in self._projects:
            return None
        return key

    def _key_in(self, address: str) -> str | None:
        """Return the key in an address of exactly our Jira: a look-alike host is not ours."""
        try:
            parts = urlsplit(address)
            same = (parts.scheme, parts.hostname, parts.port) == (
                self._address.scheme,
                self._address.hostname,
                self._address.port,
            )
        except ValueError:
            return None
        base = self._address.path
        if not same or parts.username or not parts.path.startswith(base):
            return None
        if selected := parse_qs(parts.query).get("selectedIssue"):
            return selected[0]
        match = _ISSUE_PATH.fullmatch(parts.path.removeprefix(base))
        return match[1] if match else None

    # --- Calls ------------------------------------------------------------------------

    def _client(self) -> JIRA:
        """Return a client of its own for this call: its session is not safe to share between
        threads. It retries nothing (a repeated write is a second comment; its waits are
        minutes) and follows no redirect (a sign-in page is no ticket).
        """
        credentials: dict[str, Any] = {}
        if self._user:
            credentials["basic_auth"] = (self._user, self._token)
        elif self._token:
            credentials["token_auth"] = self._token
        client = JIRA(
            server=self.url,
            get_server_info=False,
            logging=False,
            max_retries=0,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            **credentials,
        )
        client._session.max_redirects = 0  # noqa: SLF001 -- the client offers no other way
        return client

    def _ask[Answer](self, key: str, question: Callable[[JIRA], Answer], tries: int = 1) -> Answer:
        """Return the client's answer, or raise one of our three refusals.

        The client's own error is never chained: its text carries the request's headers.
        Only a connection that broke is tried again, and only as often as the caller says.
        """
        while True:
            tries -= 1
            try:
                with closing(self._client()) as client:
                    return question(client)
            except JIRAError as error:
                raise self._refusal(key, error) from None
            except requests.exceptions.Timeout:
                raise self._unavailable("did not answer in time") from None
            except requests.exceptions.ConnectionError:
                if tries <= 0:
                    raise self._unavailable("can't be connected to") from None
            except _NONSENSE:
                raise self._unavailable("answered something that is not Jira's") from None

    def _unavailable(self, what: str) -> TicketSystemUnavailable:
        return TicketSystemUnavailable(
            f"{self.name} {what}, so the ticket can't be verified. Try again in a minute; "
            "if it lasts, tell the operators.",
            extra={"system": self.name},
        )

    def _refusal(self, key: str, error: JIRAError) -> TicketNotFound | TicketSystemUnavailable:
        status = error.status_code
        headers = getattr(error.response, "headers", None) or {}
        if status == requests.codes.not_found:
            return TicketNotFound(
                f"{self.name} knows no ticket {key} that our account may see: check the key, "
                "or have the ticket's project opened to it.",
                extra={"system": self.name, "key": key},
            )
        captcha = "x-authentication-denied-reason" in {name.lower() for name in headers}
        if status == requests.codes.forbidden and not captcha:
            return TicketForbidden(
                f"{self.name} does not let our account at ticket {key}: have its project "
                "opened to the account, or name another ticket.",
                extra={"system": self.name, "key": key},
            )
        if status == requests.codes.unauthorized or captcha:
            return self._unavailable("refused our account's credentials")
        if status == requests.codes.too_many_requests:
            return self._unavailable("says that we ask too often")
        return self._unavailable(f"answered with an error ({status})")

    # --- What we ask ------------------------------------------------------------------

    def fetch(self, key: str) -> TicketSnapshot:
        wanted = {
            "summary",
            "status",
            "assignee",
            "issuetype",
            "creator",
            "created",
            self._severity_field,
            self._service_field,
        }
        fields = ",".join(sorted(wanted))
        found: TicketSnapshot = self._ask(
            key,
            lambda client: self._snapshot(client.issue(key, fields=fields, expand="changelog").raw),
            tries=2,
        )
        self._refuse_foreign(key, found.key)
        return found

    def _refuse_foreign(self, asked: str, answered: str) -> None:
        """An issue that was moved answers under its old key: what must hold of the key that
        was asked for must hold of the one that answered.
        """
        if self.key_of(answered) != answered:
            raise TicketNotFound(
                f"{asked} is {answered} in {self.name} now, whose project does not count here: "
                "name a ticket of another project.",
                extra={"system": self.name, "key": asked},
            )

    def _snapshot(self, issue: Mapping[str, Any]) -> TicketSnapshot:
        fields = issue["fields"]
        key = str(issue["key"])
        if not _KEY.fullmatch(key):
            raise ValueError("not a key")
        status = fields["status"]
        assignee = fields.get("assignee")
        return TicketSnapshot(
            system=self.name,
            key=key,
            url=f"{self.url}/browse/{key}",
            title=str(fields.get("summary") or "").replace("\x00", "")[:LONGEST_TITLE],
            status=str(status["name"])[:100],
            is_open=status["statusCategory"]["key"] != "done",
            severity=self._severity(fields.get(self._severity_field)),
            assignee=self._person(assignee),
            service=_text(fields.get(self._service_field)),
            type=_text(fields.get("issuetype")).lower(),
            fetched_at=clock.now(),
            opened_by=self._person(fields.get("creator")),
            opened_at=_moment(fields.get("created")),
            changed_by=self._changed_by(issue.get("changelog")),
            # A profile may hide address and name: then there is somebody, and nobody knows who.
            unknown=("assignee",) if assignee and not self._person(assignee) else (),
        )

    def _severity(self, value: object) -> int | None:
        """Return 1..5, or None for a value that nothing maps: never a guess, since a severity
        may decide that nobody need approve.
        """
        label = _text(value).strip()
        level = self._severities.get(label.casefold())
        if level is None and self._guess_numbers and (match := _NUMBERED.match(label)):
            level = max(int(match[1]), 1)
        return level

    def _changed_by(self, changelog: Mapping[str, Any] | None) -> tuple[str, ...] | None:
        """Return who changed what policy reads, or None where the history is cut or one of
        them is not named. A change of a field that we don't know counts too.
        """
        if not changelog or int(changelog["total"]) > len(changelog["histories"]):
            return None
        found: dict[str, None] = {}
        for change in changelog["histories"]:
            if any(self._counts(item) for item in change["items"]):
                author = self._person(change.get("author"))
                if author is None:
                    return None
                found[author] = None
        return tuple(found)

    def _counts(self, item: Mapping[str, Any]) -> bool:
        field = str(item.get("fieldId") or item["field"]).casefold()
        if field in {self._severity_field.casefold(), self._service_field.casefold()}:
            return True
        if field == "resolution":  # taken away: the issue was opened again
            return not item.get("to")
        return field not in _HARMLESS

    def _person(self, person: Mapping[str, Any] | None) -> str | None:
        """Return the address or login of somebody, None for nobody and for who is hidden."""
        if not person:
            return None
        address = str(person.get("emailAddress") or "").strip().lower()
        login = str(person.get("name") or "").strip()
        return (login if self._assignee_by == "name" else address or login) or None

    def comment(self, key: str, text: str, marker: str) -> None:
        body = f"{_escaped(text[:LONGEST_COMMENT])}\n\n({marker})"

        def write(client: JIRA) -> None:
            if self._projects:
                self._refuse_foreign(key, str(client.issue(key, fields="status").key))
            if not self._is_there(client, key, f"({marker})"):
                client.add_comment(key, body)

        self._ask(key, write)

    def _is_there(self, client: JIRA, key: str, marker: str) -> bool:
        """Return whether a comment carries `marker`. A Jira may hand out fewer comments than
        asked for, or all of them whatever the page: so read on until nothing new comes.
        """
        seen: set[str] = set()
        while True:
            page = client.comments(key, start_at=len(seen), max_results=COMMENTS_A_PAGE)
            if any(marker in str(comment.raw.get("body")) for comment in page):
                return True
            fresh = {str(comment.id) for comment in page} - seen
            if not fresh:
                return False
            seen |= fresh


def _moment(value: object) -> dt.datetime | None:
    """Return the time of `2026-01-31T09:00:00.000+0000`, None for none."""
    return dt.datetime.fromisoformat(str(value)) if value else None


def _text(value: object) -> str:
    """Return what a field says: a text, a number, an option's value, a component's name; of
    several, all (so that a rule about one service does not pass on a ticket of two).
    """
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return str(value.get("value") or value.get("name") or "")[:100]
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)[:100]
    return str(value)[:100]


def _escaped(text: str) -> str:
    """Return `text` without a meaning in Jira's wiki markup: no mention, macro, link or image."""
    return _MARKUP.sub(r"\\\1", text.replace("\x00", ""))
