"""What the tests of Slack do again and again."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django.core.cache import cache
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.test import Client

from approvals.slack import copies, delivery, limits, links, payloads, setup, tasks
from approvals.slack.models import SlackLink, SlackMessage, SlackPayload
from jit.elevation.models import ElevationRequest
from jit.identity.models import User
from jit.kernel import clock
from jit.kernel.actor import CLOCK
from jit.notifications import delivering
from jit.notifications.models import Notification
from tests.standins import slack_schemas
from tests.standins.slack_emulator import BOT_TOKEN, TEAM
from tests.standins.slack_human import Human, Signed, Workspace, text_of
from tests.support.world import WRITER, World

SIGNING_SECRET = "a-signing-secret-of-the-tests"


class SlackWorld:
    """The demo's world seen from Slack."""

    def __init__(self, world: Any, workspace: Workspace) -> None:
        self.world: World = world
        self.workspace = workspace
        self.faults = workspace.faults
        self.client = Client()

    def switch_on(self, settings: Any, **more: Any) -> None:
        settings.SLACK = {
            "bot_token": BOT_TOKEN,
            "signing_secrets": [SIGNING_SECRET],
            "app_token": "",
            "api_url": self.faults.url,
            "channel": "",
            "response_hosts": ["127.0.0.1"],
            **more,
        }
        settings.NOTIFICATION_CHANNELS = {
            **settings.NOTIFICATION_CHANNELS,
            "slack": "approvals.slack.channel.Slack",
        }
        User.objects.exclude(username="gus").update(
            email=Concat(F("username"), Value("@demo.invalid"))
        )
        cache.clear()
        setup._noted.clear()
        setup.learn(actor=CLOCK, now=clock.now())

    def forget(self) -> None:
        cache.clear()
        self.faults.forget()

    def check_all_sent(self) -> None:
        """Hold everything that was sent to Slack against Slack's own types and our limits."""
        seen: set[str] = set()
        for call in self.faults.journal:
            body = dict(call.body)
            for name in ("blocks", "view"):
                if isinstance(body.get(name), str):
                    body[name] = json.loads(body[name])
            shape = json.dumps([body.get("view"), body.get("blocks")], sort_keys=True)
            if shape in seen:
                continue
            seen.add(shape)
            if call.method in {"chat.postMessage", "chat.update"}:
                slack_schemas.check("Message", {"text": body["text"], "blocks": body["blocks"]})
                limits.check_message(body["blocks"], body["text"])
            elif call.method.startswith("views."):
                slack_schemas.check("AnyView", body["view"])
                limits.check_view(body["view"])

    def link(self, *names: str) -> None:
        now = clock.now()
        for name in names:
            SlackLink(
                user=self.world.user(name),
                team_id=TEAM,
                slack_user_id=self.workspace.emulator.users[name],
                slack_name=name,
                linked_at=now,
            ).save()

    def human(self, name: str) -> Human:
        return self.workspace.human(name)

    # --- What tasks do, without a worker ------------------------------------------------

    def settle(self) -> None:
        """Do all that the tasks would have done by now."""
        for payload_id in payloads.due():
            tasks.act(str(payload_id))
        for request_id in ElevationRequest.objects.values_list("pk", flat=True):
            copies.plan(request_id=request_id)
        cache.clear()
        for message_id in copies.due():
            delivery.deliver(message_id)

    def tell(self) -> None:
        """Deliver the notifications that are due to Slack."""
        for _ in range(10):
            cache.clear()
            if not delivering.deliver_lane("slack"):
                return

    def later(self, seconds: float) -> None:
        """Let this much time pass for whatever waits to be tried again."""
        shift = dt.timedelta(seconds=seconds)
        SlackMessage.objects.filter(next_try_at__isnull=False).update(
            next_try_at=F("next_try_at") - shift,
        )
        SlackMessage.objects.filter(lease_until__isnull=False).update(
            lease_until=F("lease_until") - shift,
        )
        SlackPayload.objects.filter(lease_until__isnull=False).update(
            lease_until=F("lease_until") - shift,
        )
        Notification.objects.filter(outcome="WAITING").update(
            next_try_at=F("next_try_at") - shift,
        )
        cache.clear()

    # --- The door ----------------------------------------------------------------------

    def post(self, signed: Signed, client: Client | None = None) -> Any:
        """Post the bytes as Slack does; nothing after the acknowledgement is done yet."""
        return (client or self.client).post(
            signed.path,
            data=signed.body,
            content_type=signed.headers["Content-Type"],
            headers={
                name: value for name, value in signed.headers.items() if "Content" not in name
            },
        )

    def send(self, signed: Signed) -> Any:
        """Post, and do what follows."""
        answer = self.post(signed)
        assert answer.status_code == 200, answer.content
        self.settle()
        return answer

    def press(self, name: str, action: str, **more: Any) -> Any:
        return self.send(self.human(name).press(action, **more))

    def ask(self, username: str = "rita", **more: Any) -> ElevationRequest:
        request = self.world.ask(username, **more)
        self.settle()
        return request

    def ask_by_modal(self, username: str = "rita", **typed: str) -> str:
        """Ask in Slack's own window, and return what it says in the end."""
        human = self.human(username)
        self.post(human.command("request"))
        usual = {"minutes": "10", "justification": "The checkout times out."}
        fields = {"role": WRITER, "ticket": self.world.tickets["sev2"], **usual}
        self.send(human.submit(**(fields | typed)))
        return text_of(human.modal()["blocks"])

    def state(self, request: ElevationRequest) -> str:
        request.refresh_from_db()
        return str(request.state)

    def with_strength(self, request: ElevationRequest, strength: str) -> None:
        request.ruling["obligations"]["approval_strength"] = strength
        request.save(update_fields=["ruling"])
        self.settle()

    @property
    def whispered(self) -> str:
        return self.workspace.replies.last

    def outcome(self) -> str:
        return str(SlackPayload.objects.filter(queued=True).order_by("-received_at")[0].outcome)


__all__ = ["SIGNING_SECRET", "SlackWorld", "links"]
