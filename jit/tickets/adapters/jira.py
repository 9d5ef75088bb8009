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
from jit.tickets.adapters.bounded import WholeAnswers

CONNECT_SECONDS, READ_SECONDS = 2, 3
LONGEST_COMMENT = 4000
COMMENTS_A_PAGE = 100
MOST_PAGES = 100
AHEAD = dt.timedelta(minutes=5)
"""How far the ticket system's clock may be ahead of ours."""
_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,19}-[1-9][0-9]{0,9}", re.ASCII)
_ISSUE_PATH = re.compile(r"/(?:browse|projects/[^/]+/issues|issues)/([^/]+)/?", re.ASCII)
_MARKUP = re.compile(r"([\\{}\[\]|!~^])")
_NUMBERED = re.compile(
    r"(?:(?:sev|severity|p|prio|priority|s)\s*-?\s*)?([0-5])(?![.,]?\d)(?:\b|\s|-)",
    re.IGNORECASE,
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

_IS_OPEN = {"new": True, "indeterminate": True, "done": False}
"""Jira's categories of status. The fourth, `undefined`, says neither, and so does any other."""

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
    RecursionError,
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
        session = client._session  # noqa: SLF001 -- the client offers no other way
        session.max_redirects = 0
        for scheme in ("http://", "https://"):
            session.mount(scheme, WholeAnswers(max_retries=0))
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
        return self._ask(
            key,
            lambda client: self._snapshot(
                self._found(key, client.issue(key, fields=fields, expand="changelog").raw)
            ),
            tries=2,
        )

    def _found(self, asked: str, issue: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the issue when it is the one that was asked for.

        An issue that was moved answers under its old key: then what must hold of the key that
        was asked for must hold of the one that answered, and its history must tell of the move.
        Raises TicketNotFound and TicketSystemUnavailable.
        """
        answered = issue["key"]
        if not isinstance(answered, str) or not _KEY.fullmatch(answered):
            raise ValueError("not a key")
        if issue.get("errorMessages") or issue.get("errors"):
            raise ValueError("an error that is called a success")
        if answered == asked:
            return issue
        if self.key_of(answered) != answered:
            raise TicketNotFound(
                f"{asked} is {answered} in {self.name} now, whose project does not count here: "
                "name a ticket of another project.",
                extra={"system": self.name, "key": asked},
            )
        if asked not in _keys_before(issue.get("changelog")):
            raise TicketSystemUnavailable(
                f"{self.name} was asked for {asked} and answered with {answered}, whose history "
                f"does not say that it was {asked}. If it is the same ticket, name it {answered}.",
                extra={"system": self.name, "key": asked},
            )
        return issue

    def _snapshot(self, issue: Mapping[str, Any]) -> TicketSnapshot:
        fields = issue["fields"]
        key = issue["key"]
        status = fields["status"]
        assignee = self._person(fields.get("assignee"))
        unknown = []
        # A profile may hide address and name: then there is somebody, and nobody knows who.
        if "assignee" not in fields or (fields["assignee"] is not None and assignee is None):
            unknown.append("assignee")
        return TicketSnapshot(
            system=self.name,
            key=key,
            url=f"{self.url}/browse/{key}",
            title=_drawable(fields.get("summary"))[:LONGEST_TITLE],
            status=_text(status),
            is_open=_IS_OPEN[status["statusCategory"]["key"]],
            severity=self._severity(fields.get(self._severity_field)),
            assignee=assignee,
            service=_text(fields.get(self._service_field)),
            type=_text(fields.get("issuetype")).lower(),
            fetched_at=clock.now(),
            opened_by=self._person(fields.get("creator")),
            opened_at=_moment(fields.get("created")),
            changed_by=self._changed_by(issue.get("changelog")),
            unknown=tuple(unknown),
        )

    def _severity(self, value: object) -> int | None:
        """Return 1..5, or None for a value that nothing maps: never a guess, since a severity
        may decide that nobody need approve.
        """
        if isinstance(value, list):
            value = value[0] if len(value) == 1 else None
        if isinstance(value, float) and value.is_integer():  # how Jira writes a number's field
            value = int(value)
        label = _text(value).strip()
        level = self._severities.get(label.casefold())
        if level is None and self._guess_numbers and (match := _NUMBERED.match(label)):
            level = max(int(match[1]), 1)
        return level

    def _changed_by(self, changelog: Mapping[str, Any] | None) -> tuple[str, ...] | None:
        """Return who changed what policy reads, or None where the history is cut or one of
        them is not named. A change of a field that we don't know counts too.
        """
        if changelog is None:
            return None
        changes, whole = _changes(changelog)
        if not whole:
            return None
        found: dict[str, None] = {}
        for change in changes:
            if any(self._counts(item) for item in _listed(change, "items")):
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
        """Return the address or login of somebody, None for nobody and for who is hidden. The one
        never stands in for the other: a login may be written like somebody else's here.
        """
        if person is None:
            return None
        said = person.get("name" if self._assignee_by == "name" else "emailAddress")
        who = _said("" if said is None else said).strip()
        if self._assignee_by == "name":
            return who or None
        return who.lower() if "@" in who else None

    def comment(self, key: str, text: str, marker: str) -> None:
        body = f"{_escaped(text[:LONGEST_COMMENT])}\n\n({marker})"

        def write(client: JIRA) -> None:
            self._found(key, client.issue(key, fields="status", expand="changelog").raw)
            if self._is_there(client, key, f"({marker})"):
                return
            if f"({marker})" not in str(client.add_comment(key, body).raw.get("body")):
                raise ValueError("another comment")

        self._ask(key, write)

    def _is_there(self, client: JIRA, key: str, marker: str) -> bool:
        """Return whether a comment carries `marker`. A Jira may hand out fewer comments than
        asked for, or all of them whatever the page: so read on until nothing new comes.
        """
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            page = client.comments(key, start_at=len(seen), max_results=COMMENTS_A_PAGE)
            if any(marker in str(comment.raw.get("body")) for comment in page):
                return True
            fresh = {str(comment.id) for comment in page} - seen
            if not fresh:
                return False
            seen |= fresh
        raise ValueError("no end of comments")


def _keys_before(changelog: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the keys that the issue had, as its history says."""
    changes = [] if changelog is None else _changes(changelog)[0]
    items = [item for change in changes for item in _listed(change, "items")]
    return frozenset(
        str(item.get("fromString")) for item in items if str(item.get("field")).casefold() == "key"
    )


def _changes(changelog: Mapping[str, Any]) -> tuple[list[Any], bool]:
    """Return what was changed, and whether that is all."""
    total, changes = changelog["total"], _listed(changelog, "histories")
    if isinstance(total, bool) or not isinstance(total, int) or total < 0:
        raise TypeError("not a number of changes")
    return changes, total <= len(changes)


def _listed(found: Mapping[str, Any], name: str) -> list[Any]:
    items = found[name]
    if not isinstance(items, list):
        raise TypeError("not a list")
    return items


def _moment(value: object) -> dt.datetime | None:
    """Return the time of `2026-01-31T09:00:00.000+0000`; None for none, and for one to come,
    which nobody can have opened a ticket at.
    """
    if value is None:
        return None
    at = clock.aware(_said(value))
    if at is None:
        raise ValueError("no time with its zone")
    return at if at <= clock.now() + AHEAD else None


def _said(value: object) -> str:
    """Return a text that can be compared and stored. Raises TypeError or ValueError: a text
    without its NULs or halves of surrogate pairs would be another one.
    """
    if not isinstance(value, str):
        raise TypeError("not a text")
    value.encode()
    if "\x00" in value:
        raise ValueError("a NUL in a text")
    return value


def _drawable(value: object) -> str:
    """Return a text that is only shown, without what can't be stored."""
    if value is not None and not isinstance(value, str):
        raise TypeError("not a text")
    return (value or "").replace("\x00", "").encode(errors="replace").decode()


def _text(value: object) -> str:
    """Return what a field says: a text, a number, an option's value, a component's name; of
    several, all (so that a rule about one service does not pass on a ticket of two). Nothing
    is empty; raises TypeError or ValueError for what says nothing that can be read.
    """
    if value is None:
        return ""
    if isinstance(value, Mapping):
        named = value.get("value") or value.get("name")
        if not named:
            raise ValueError("something without a name")
        return _said(named)[:100]
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)[:100]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)[:100]
    return _said(value)[:100]


def _escaped(text: str) -> str:
    """Return `text` without a meaning in Jira's wiki markup: no mention, macro, link or image."""
    return _MARKUP.sub(r"\\\1", text.replace("\x00", ""))
