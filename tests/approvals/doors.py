"""The web's door and the API's, each with the same ways to act; Slack's is `slack.support`."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.test import Client
from django.utils.html import strip_tags

from approvals.models import Decision, Delegation, Step
from jit.elevation.models import ElevationRequest, Grant
from jit.identity import operations as identity
from jit.identity.models import Group
from jit.kernel import clock
from jit.workflow import activate
from tests.support import people
from tests.support.world import WRITER, Api, World

type Answer = tuple[int, str]
"""The status, and every word of the answer."""
DONE = frozenset({200, 201, 302})


@dataclass
class Web:
    """Pages and forms, as a browser sends them; each person keeps theirs."""

    world: World
    browsers: dict[str, Client] = field(default_factory=dict)

    def __call__(
        self, name: str, row: ElevationRequest, decision: str = "approve", **more: Any
    ) -> Answer:
        return self._post(name, f"/requests/{row.pk}/decide/", {"decision": decision, **more})

    def ask(self, name: str = "rita", **more: Any) -> Answer:
        form = {"idempotency_key": str(uuid.uuid4()), **asked(self.world), **more}
        return self._post(name, "/request/", form)

    def break_glass(self, name: str, otp: str, **more: Any) -> Answer:
        return self._post(name, "/break-glass/", {**asked(self.world), "otp": otp, **more})

    def lend(self, owner: str, stand_in: str) -> Answer:
        form = {"delegate": stand_in, "days": 1, "reason": "Away."}
        made = self._post(owner, "/account/delegations/new/", form)
        if made[0] not in DONE:
            return made
        row = Delegation.objects.latest("created_at")
        return self._post(stand_in, f"/account/delegations/{row.pk}/accept/", {})

    def reads(self, name: str, row: ElevationRequest) -> str:
        """Return what the person is shown of the request and its grant."""
        parts = ("", "chain/")
        paths = [f"/requests/{row.pk}/{part}" for part in parts]
        return " ".join(self._words(self.browser(name).get(path))[1] for path in paths)

    def browser(self, name: str) -> Client:
        if name not in self.browsers:
            self.browsers[name] = people.signed_in(Client(), self.world.user(name))
        return self.browsers[name]

    def _post(self, name: str, path: str, form: dict[str, Any]) -> Answer:
        return self._words(self.browser(name).post(path, form))

    @staticmethod
    def _words(answer: Any) -> Answer:
        return answer.status_code, " ".join(strip_tags(answer.content.decode()).split())


@dataclass
class Program:
    """JSON, by bearer token; each person keeps theirs."""

    world: World
    tokens: dict[str, Api] = field(default_factory=dict)

    def __call__(
        self, name: str, row: ElevationRequest, decision: str = "approve", **more: Any
    ) -> Answer:
        more.pop("minutes", None)  # the page's way of saying `duration_seconds`
        return self._post(name, f"requests/{row.pk}/decisions/", {"decision": decision, **more})

    def ask(self, name: str = "rita", **more: Any) -> Answer:
        return self._post(name, "requests/", asked(self.world) | more)

    def break_glass(self, name: str, otp: str, **more: Any) -> Answer:
        return self._post(name, "break-glass/", {**asked(self.world), "otp": otp, **more})

    def lend(self, owner: str, stand_in: str) -> Answer:
        until = (clock.now() + dt.timedelta(days=1)).isoformat()
        body = {"delegate": stand_in, "ends_at": until, "reason": "Away."}
        made = self._post(owner, "delegations/", body)
        if made[0] not in DONE:
            return made
        return self._post(stand_in, f"delegations/{json.loads(made[1])['id']}/accept/", {})

    def reads(self, name: str, row: ElevationRequest) -> str:
        """Return what the program is told of the request and its grant."""
        api = self.api(name)
        words: str = api.get(f"requests/{row.pk}/").content.decode()
        grant = Grant.objects.filter(request=row).first()
        return words + (api.get(f"grants/{grant.pk}/").content.decode() if grant else "")

    def api(self, name: str) -> Api:
        if name not in self.tokens:
            self.tokens[name] = self.world.api(name)
        return self.tokens[name]

    def _post(self, name: str, path: str, body: dict[str, Any]) -> Answer:
        answer = self.api(name).post(path, body)
        return answer.status_code, answer.content.decode()


type Door = Web | Program


def asked(world: World) -> dict[str, Any]:
    """Return the fields of rita's usual ask."""
    return {
        "role": WRITER,
        "ticket": world.tickets["sev2"],
        "justification": "The checkout times out.",
        "duration_seconds": 600,
    }


def leave(world: World, *names: str, group: str = "payments-leads") -> None:
    for name in names:
        identity.remove_member(
            group=Group.objects.get(slug=group),
            user=world.user(name),
            actor=people.INSTALLER,
            now=clock.now(),
        )


def join(world: World, *names: str, group: str = "payments-leads") -> None:
    for name in names:
        identity.add_member(
            group=Group.objects.get(slug=group),
            user=world.user(name),
            actor=people.INSTALLER,
            now=clock.now(),
        )


def overdue(request: ElevationRequest, **more: Any) -> None:
    """Let the step have waited too long, with managers to ask further."""
    past = clock.now() - dt.timedelta(seconds=5)
    values = {"escalate_to": ["group:sre-managers"], "escalate_at": past, "look_at": past}
    Step.objects.filter(chain=request.chain).update(**(values | more))


def still_open(request: ElevationRequest) -> bool:
    request.refresh_from_db()
    step = Step.objects.get(chain__request=request)
    return (request.state, step.state, Decision.objects.count()) == ("PENDING", "OPEN", 0)


def activated(request: ElevationRequest) -> Grant:
    """Return the request's grant after the task that gives it has run."""
    grant = Grant.objects.get(request=request)
    activate.activate(grant_id=grant.pk)
    grant.refresh_from_db()
    return grant
