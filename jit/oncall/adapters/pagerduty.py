"""PagerDuty (REST API v2): two reads with an API token that need not do more than read.

<https://developer.pagerduty.com/api-reference>
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from requests.models import PreparedRequest

from jit.kernel import clock
from jit.oncall.adapters import asking
from jit.oncall.adapters.base import Contact, Incident, OnCallPerson

_ID = r"[A-Z0-9]{5,32}"
_SERVICE = re.compile(
    rf"(?P<kind>policy|schedule):(?P<id>{_ID})(?:\+service:(?P<service>{_ID}))?", re.ASCII
)
_PEOPLE = frozenset({"user", "user_reference"})
PAGE = "100"
"""PagerDuty's largest page."""
MOST_PAGES = 5
"""A list that goes on after them is unknown: that somebody is not in a part of it says nothing."""


class PagerDuty:
    """Reads who is on call and which incidents are acknowledged.

    Settings: `token` of a read-only API key; `url`, another one for the EU service region;
    `levels`, how many escalation levels of a policy count (1: whoever is called first);
    `people`, from PagerDuty's user ids to our usernames, for those whom no address should
    stand for.

    A service reads `policy:PT20YPA+service:PIJ90N7` or `schedule:PI7DH85+service:PIJ90N7`; the
    service, which incidents are read from, may be left out. Everybody on a schedule that is
    named counts, whatever the level at which some policy uses it.
    """

    def __init__(
        self,
        *,
        name: str,
        token: str,
        url: str = "https://api.pagerduty.com",
        levels: int = 1,
        people: Mapping[str, str] | None = None,
    ) -> None:
        if not token:
            raise TypeError("token must be a PagerDuty API key")
        if levels < 1:
            raise TypeError("levels must be 1 or more")
        self.name = name
        self.url = asking.checked(url)
        self._token = token
        self._levels = levels
        self._people = dict(people or {})

    # --- What the settings name ---------------------------------------------------------

    def check(self, service: str) -> None:
        self._parts(service)

    def concerns(self, service: str, thing: str) -> bool:
        parts = self._parts(service)
        return thing in {parts["id"], parts.get("service")}

    @staticmethod
    def _parts(service: str) -> dict[str, str]:
        found = _SERVICE.fullmatch(service)
        if found is None:
            raise ValueError(f"{service[:80]!r} does not read policy:ID+service:ID")
        return {name: part for name, part in found.groupdict().items() if part}

    # --- What we ask --------------------------------------------------------------------

    def _prove(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Token token={self._token}"
        return request

    def _all(self, path: str, name: str, *params: tuple[str, str]) -> list[Any]:
        """Return what `path` lists, of all pages. Raises what UNREADABLE lists, too.

        <https://developer.pagerduty.com/docs/pagination> ("Classic pagination")
        """
        items: list[Any] = []
        for _ in range(MOST_PAGES):
            found = self._get(path, *params, ("offset", str(len(items))))
            if found.get("offset", len(items)) != len(items):
                raise ValueError("another page")
            items += asking.listed(found, name)
            if found["more"] is False:
                return items
            if found["more"] is not True:
                raise TypeError("neither the end nor more")
        raise ValueError("no end")

    def _get(self, path: str, *params: tuple[str, str]) -> dict[str, Any]:
        return asking.ask(
            self.name,
            "GET",
            f"{self.url}{path}",
            prove=self._prove,
            headers={
                "Accept": "application/vnd.pagerduty+json;version=2",
                "Content-Type": "application/json",
            },
            params=[*params, ("limit", PAGE)],
        )

    def who_is_on_call(self, service: str) -> tuple[OnCallPerson, ...]:
        parts = self._parts(service)
        of = "escalation_policy" if parts["kind"] == "policy" else "schedule"
        try:
            found = self._all(
                "/oncalls",
                "oncalls",
                (f"{of}_ids[]", parts["id"]),
                ("include[]", "users"),
                ("time_zone", "UTC"),
            )
            now = clock.now()
            shifts = [
                self._person(entry, now)
                for entry in found
                # The schedule is null for somebody whom the policy names directly.
                if entry[of] and entry[of]["id"] == parts["id"]
            ]
        except asking.UNREADABLE:
            raise asking.nonsense(self.name) from None
        counted = parts["kind"] == "schedule"
        return tuple(
            shift for shift in shifts if shift and (counted or shift.level <= self._levels)
        )

    def _person(self, entry: Mapping[str, Any], now: dt.datetime) -> OnCallPerson | None:
        """Return the shift, or None for one that is not running: `start` and `end` are null
        for somebody who is on call all the time.
        """
        start, until = asking.moment(entry["start"]), asking.moment(entry["end"])
        if (start and start > now) or (until and until <= now):
            return None
        contact = self._contact(entry["user"])
        if contact == Contact():
            raise ValueError("somebody, and nobody knows who")
        return OnCallPerson(
            contact=contact,
            level=asking.level(entry["escalation_level"]),
            until=until,
        )

    def incidents_of(self, service: str) -> tuple[Incident, ...]:
        wanted = self._parts(service).get("service")
        if wanted is None:
            return ()
        try:
            found = self._all(
                "/incidents",
                "incidents",
                ("statuses[]", "acknowledged"),
                ("service_ids[]", wanted),
                ("include[]", "acknowledgers"),
                ("date_range", "all"),
            )
            return tuple(
                Incident(
                    key=asking.word(incident["id"], longest=40),
                    acknowledged_by=tuple(
                        self._contact(each["acknowledger"])
                        for each in asking.listed(incident, "acknowledgements")
                        if each["acknowledger"]["type"] in _PEOPLE
                    ),
                )
                for incident in found
                if incident["status"] == "acknowledged" and incident["service"]["id"] == wanted
            )
        except asking.UNREADABLE:
            raise asking.nonsense(self.name) from None

    def _contact(self, user: Mapping[str, Any]) -> Contact:
        number = asking.word(user["id"])
        if not number or user.get("type", "user") not in _PEOPLE:
            raise ValueError("nobody is named")
        bound = self._people.get(number)
        if bound:
            return Contact(username=bound)
        return Contact(email=asking.word_or_none(user.get("email")).lower())
