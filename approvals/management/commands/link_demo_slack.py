"""`manage.py link_demo_slack`: bind the demo people to their accounts in the demo Slack."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from approvals.slack import client, links, setup
from jit.identity import queries as identity
from jit.kernel import clock
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.ops.demo.people import PEOPLE

LINKER = Actor(kind=ActorKind.SERVICE, id="demo", name="demo", channel=Channel.CLI)


class Command(BaseCommand):
    help = "Link the demo people to the demo Slack, without the code that real people type."

    def handle(self, *_args: Any, **_options: Any) -> None:
        if not settings.EMBEDDED or not settings.SLACK["api_url"].startswith("http://127.0.0.1:"):
            raise CommandError(
                "Only JIT_DEMO_SLACK=1 make run links people like this: elsewhere each person "
                "links their own account, on the account page."
            )
        now = clock.now()
        team = setup.learn(actor=LINKER, now=now).team_id
        for username in PEOPLE:
            user = identity.user_by_username(username)
            if user is None:
                continue
            found = client.call(client.web().users_lookupByEmail, email=user.email)["user"]
            link = links.link_of(user)
            if link is not None and link.slack_user_id == found["id"]:
                continue
            # The demo Slack forgets everybody when it stops, and they come back as others.
            links.unlink(user=user, actor=LINKER, now=now)
            links.bind(
                user=user,
                team_id=team,
                slack_user_id=found["id"],
                slack_name=username,
                actor=LINKER,
                now=now,
            )
