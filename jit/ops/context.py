"""Which request a line of the log belongs to, from the edge to the task."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar, Token

__all__ = ["Token", "accepted", "request_id", "task_name"]

_GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,127}", re.ASCII)
request_id: ContextVar[str] = ContextVar("request_id", default="")
task_name: ContextVar[str] = ContextVar("task_name", default="")


def accepted(given: str | None) -> str:
    """Return the caller's id when it is a plain word of 8 to 128 characters, else a new one:
    what a stranger sends ends up in the log and in answers.
    """
    return given if given and _GIVEN.fullmatch(given) else uuid.uuid4().hex
