"""What only the person who clicked or typed sees."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from slack_sdk.webhook import WebhookClient

from approvals.slack import blocks as b
from approvals.slack import client, config

log = logging.getLogger(__name__)

OK = 200


def ephemeral(words: str, *more: b.Block) -> dict[str, Any]:
    """Return a message that only its reader sees; its fallback holds nobody's own words."""
    return {
        "response_type": "ephemeral",
        "replace_original": False,
        "text": "JIT access",
        "blocks": [b.lines([b.word(words)]), *more],
    }


def whisper(act: Mapping[str, Any], words: str) -> None:
    """Tell the clicker, and nobody else, what became of the click. Losing this changes nothing:
    the copy itself is redrawn.
    """
    message = ephemeral(words)
    try:
        if _is_slacks(act["response_url"]):
            sent = WebhookClient(act["response_url"], timeout=client.TIMEOUT, retry_handlers=[])
            answer = sent.send_dict(message)
            if answer.status_code != OK:
                log.warning("Slack did not take a reply: http %s", answer.status_code)
        elif act["channel"]:
            client.call(
                client.web().chat_postEphemeral,
                channel=act["channel"],
                user=act["slack_user"],
                text=message["text"],
                blocks=message["blocks"],
            )
    except Exception:  # whatever the network raises: the decision stands without the reply
        log.warning("a reply to somebody in Slack was lost", exc_info=True)


def _is_slacks(address: str) -> bool:
    """Return whether an address out of a payload is Slack's own: it is data, not a command."""
    parts = urlsplit(address)
    allowed = config.required().response_hosts
    plain = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"}
    return (parts.scheme == "https" or plain) and (parts.hostname or "") in allowed
