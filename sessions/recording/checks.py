"""What must hold before anything is served, of recordings: each finding says what to set."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core import checks

from jit.catalog.models import Risk
from jit.kernel import backends
from sessions.recording import redaction


@checks.register(checks.Tags.security)
def recordings(**_kwargs: Any) -> Iterable[checks.CheckMessage]:
    """Return what is wrong with the store, the patterns and the days."""
    return [*_store(), *_patterns(), *_days()]


def _store() -> Iterable[checks.CheckMessage]:
    try:
        backends.from_setting("RECORDINGS_STORE")
    except ImportError as missing:
        yield checks.Error(
            f"The store of recordings can't be loaded: {missing}",
            hint="RECORDINGS_STORE is the dotted path of a class in sessions.recording.stores.",
            id="sessions.E001",
        )
    if settings.RECORDINGS_S3["lock"] and not settings.RECORDINGS_S3["bucket"]:
        yield checks.Error(
            "Recordings are to be locked, but lie in a folder.",
            hint="Only buckets have Object Lock: set JIT_RECORDINGS_S3_BUCKET, or unset "
            "JIT_RECORDINGS_S3_LOCK.",
            id="sessions.E001",
        )


def _patterns() -> Iterable[checks.CheckMessage]:
    try:
        redaction.compiled(tuple(settings.REDACTION_PATTERNS))
    except re.error as wrong:
        yield checks.Error(
            f"REDACTION_PATTERNS has a pattern that is none: {wrong.pattern!r}: {wrong}",
            hint="Mend it: viewers of recordings would see what it should hide, or nothing.",
            id="sessions.E002",
        )


def _days() -> Iterable[checks.CheckMessage]:
    if any(settings.RECORDINGS_KEPT_DAYS.get(risk, 0) < 1 for risk in Risk.values):
        yield checks.Error(
            "Recordings of some risk would be kept for less than a day.",
            hint="Set JIT_RECORDINGS_KEPT_DAYS_LOW, _MEDIUM, _HIGH and _CRITICAL to 1 or more.",
            id="sessions.E003",
        )
