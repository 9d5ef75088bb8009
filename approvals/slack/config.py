"""What the environment says of Slack; without a bot token there is no Slack."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from urllib.parse import urljoin

from django.conf import settings

from jit.kernel.errors import NotFound


class SlackIsOff(NotFound):
    """No Slack is set up here: an operator sets JIT_SLACK_BOT_TOKEN_FILE."""


@dataclass(frozen=True, slots=True)
class Config:
    """The secrets and addresses of one workspace. `signing_secrets` are the current one and,
    during a rotation, the one before.
    """

    bot_token: str
    signing_secrets: tuple[str, ...]
    app_token: str
    api_url: str
    channel: str
    response_hosts: frozenset[str]


def current() -> Config | None:
    """Return the configuration, or None where Slack is off."""
    found = settings.SLACK
    if not found.get("bot_token"):
        return None
    return Config(
        bot_token=found["bot_token"],
        signing_secrets=tuple(found.get("signing_secrets", ())),
        app_token=found.get("app_token", ""),
        api_url=found.get("api_url", "https://slack.com/api/"),
        channel=found.get("channel", ""),
        response_hosts=frozenset(found.get("response_hosts", ())),
    )


def required() -> Config:
    """Return the configuration. Raises SlackIsOff."""
    found = current()
    if found is None:
        raise SlackIsOff("Slack is not set up here; ask an operator.")
    return found


def step_up_age() -> dt.timedelta:
    return dt.timedelta(seconds=settings.SLACK_STEP_UP_AGE)


def page(path: str) -> str:
    """Return the address of one of our pages, for a link in a message."""
    return urljoin(settings.BASE_URL.rstrip("/") + "/", path.lstrip("/"))
