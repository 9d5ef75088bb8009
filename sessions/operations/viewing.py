"""Looking at what was recorded is itself on the record."""

from __future__ import annotations

import contextlib
from typing import Any

import redis
from django.core.cache import cache
from django.db import transaction

from jit.audit import operations as audit
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import Actor
from sessions.models import AccessSession
from sessions.states import SESSION

VISIT = 600
"""Seconds in which the parts of a recording that one person reads are one look at it."""


def viewed(*, session: AccessSession, how: str, actor: Actor, **more: Any) -> None:
    """Note that somebody looks: `how` is replay, live, transcript or commands."""
    _note("session.viewed", session, actor, {"how": how, **more})


def looked(*, session: AccessSession, user: User, actor: Actor) -> None:
    """Note that somebody looks at a recording on its page, once a visit: the page reads the
    picture, the commands and the transcript one by one, and it is one look at them.
    """
    key = f"session.viewed:{session.pk}:{user.pk}"
    with contextlib.suppress(redis.RedisError):  # Not to be sure is to note it twice.
        if not cache.add(key, 1, timeout=VISIT):
            return
    _note("session.viewed", session, actor, {"how": "replay"})


def downloaded(*, session: AccessSession, form: str, actor: Actor) -> None:
    """Note that somebody takes the recording away, as asciicast v2 or v3, or text."""
    _note("session.downloaded", session, actor, {"format": form})


def searched(*, user: User, q: str, hits: int, actor: Actor) -> None:
    """Note that somebody looked for words in recordings, and saw lines of them."""
    with transaction.atomic():
        audit.record(
            action="session.searched",
            actor=actor,
            now=db.now(),
            subject=audit.Subject(type="user", id=str(user.pk), label=user.username),
            body={"q": q[:300], "hits": hits},
        )


def _note(action: str, session: AccessSession, actor: Actor, body: dict[str, Any]) -> None:
    with transaction.atomic():
        audit.record(
            action=action,
            actor=actor,
            now=db.now(),
            subject=audit.subject_of(session, SESSION),
            links=audit.links_of(session, SESSION),
            body=body,
        )
