"""Whether a request comes from Slack: its signature over time and body, guarded against junk.

slack-sdk's verifier raises on a timestamp that is no whole number, on a signature outside ASCII
and on a body that is no UTF-8; here each of them is a refusal.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence

from slack_sdk.signature import Clock, SignatureVerifier

WINDOW = dt.timedelta(seconds=300)
LONGEST_NUMBER = 12


class BadSignature(Exception):
    """The request can't be shown to come from Slack; the message says why, for the operator."""


class _At(Clock):
    def __init__(self, now: dt.datetime) -> None:
        self._now = now.timestamp()

    def now(self) -> float:
        return self._now


def check(
    *, body: bytes, timestamp: str, signature: str, secrets: Sequence[str], now: dt.datetime
) -> None:
    """Raise BadSignature unless one of `secrets` signed exactly this body within WINDOW.

    <https://docs.slack.dev/authentication/verifying-requests-from-slack>
    """
    if not secrets:
        raise BadSignature("no signing secret is set")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= LONGEST_NUMBER):
        raise BadSignature("the timestamp is no whole number")
    if not signature.isascii() or not signature.startswith("v0="):
        raise BadSignature("the signature is malformed")
    if abs(now.timestamp() - int(timestamp)) > WINDOW.total_seconds():
        raise BadSignature("the timestamp is out of the window of five minutes")
    try:
        text = body.decode("utf-8")
        signed = [
            SignatureVerifier(secret, _At(now)).is_valid(text, timestamp, signature)
            for secret in secrets
        ]
    except (ValueError, TypeError) as junk:
        raise BadSignature("the request is malformed") from junk
    if not any(signed):
        raise BadSignature("the signature is not that of our signing secret")


def fingerprint(*, body: bytes, timestamp: str) -> str:
    """Return what a second delivery of the very same bytes is known by."""
    return hashlib.sha256(timestamp.encode() + b"\0" + body).hexdigest()
