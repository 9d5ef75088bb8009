"""One door to Slack's Web API: what it says becomes an answer or a Trouble that says what to do."""

from __future__ import annotations

import contextlib
import http.client
import logging
import urllib.error
from collections.abc import Callable, Mapping
from typing import Any

from django.core.cache import cache
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from approvals.slack import config

log = logging.getLogger(__name__)

TIMEOUT = 5
QUICK = 2
"""Seconds for a call that somebody waits for: Slack itself waits three."""
PACE = 1
"""Slack takes one message in so many seconds in each channel."""
TOO_MANY = 429
SERVER = 500
PASSING = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable",
     "request_timeout", "team_added_to_org"}
)  # fmt: skip
CREDENTIALS = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
     "missing_scope", "no_permission", "org_login_required"}
)  # fmt: skip
"""Wrong on our side, and an operator mends it: worth trying again, slowly."""


class Trouble(Exception):
    """A call that failed. `permanent` means that the same call fails for ever; `ambiguous` that
    Slack may have done it nonetheless; `retry_after` seconds are what Slack asked for.
    """

    def __init__(
        self,
        code: str,
        *,
        permanent: bool = False,
        ambiguous: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.permanent = permanent
        self.ambiguous = ambiguous
        self.retry_after = retry_after


def web(*, timeout: int | None = None, token: str | None = None) -> WebClient:
    """Return a client that tries once: slack-sdk's own retry posts twice when the connection
    drops after the message was stored.
    """
    found = config.required()
    return WebClient(
        token=token or found.bot_token,
        base_url=found.api_url,
        timeout=timeout or TIMEOUT,
        retry_handlers=[],
    )


def call(method: Callable[..., Any], /, **arguments: Any) -> Mapping[str, Any]:
    """Return Slack's answer as a mapping. Raises Trouble."""
    try:
        answer = method(**arguments)
    except SlackApiError as refused:
        raise _of(refused) from refused
    except (TimeoutError, ConnectionError, http.client.HTTPException) as lost:
        raise Trouble(type(lost).__name__, ambiguous=True) from lost
    except urllib.error.URLError as unreachable:
        refused_at_once = isinstance(unreachable.reason, ConnectionRefusedError)
        raise Trouble("unreachable", ambiguous=not refused_at_once) from unreachable
    except SlackClientError as broken:
        raise Trouble(type(broken).__name__, ambiguous=True) from broken
    found: Mapping[str, Any] = answer.data if isinstance(answer.data, dict) else {}
    return found


def _of(refused: SlackApiError) -> Trouble:
    response = refused.response
    status = getattr(response, "status_code", 0)
    if status == TOO_MANY:
        return Trouble("ratelimited", retry_after=_seconds(getattr(response, "headers", {})))
    if status >= SERVER:
        return Trouble(f"http {status}", ambiguous=True)
    code = "unreadable"
    with contextlib.suppress(Exception):
        code = str(response.get("error") or code)
    if code == "unreadable":
        return Trouble(code, ambiguous=True)
    return Trouble(code, permanent=code not in PASSING | CREDENTIALS, ambiguous=code in PASSING)


def _seconds(headers: Mapping[str, Any]) -> float:
    for name, value in headers.items():
        if name.lower() == "retry-after":
            first = value[0] if isinstance(value, list) else value
            with contextlib.suppress(ValueError):
                return min(max(float(first), 1.0), 3600.0)
    return 30.0


def may_post(channel: str) -> bool:
    """Return whether the channel's one post a second is still to be had. Without the cache the
    pace is Slack's to keep.
    """
    try:
        return bool(cache.add(f"slack:pace:{channel}", 1, timeout=PACE))
    except Exception:  # losing the cache may not stop a message
        log.warning("the pace of Slack's channels can't be kept", exc_info=True)
        return True
