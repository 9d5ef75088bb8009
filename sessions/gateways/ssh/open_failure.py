"""How a channel that can't be opened is refused: with a sentence that the client shows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import asyncssh

from jit.kernel.errors import DomainError

log = logging.getLogger(__name__)

FAILED = (
    "The gateway could not open your session just now. Try again; your operators find why in "
    "its log."
)


@contextmanager
def with_a_sentence(what: str) -> Iterator[None]:
    """Turn whatever is raised inside into a ChannelOpenError: a refusal with its own words; the
    rest is logged as `what`, which did not work.
    """
    try:
        yield
    except DomainError as refusal:
        status = refusal.status
        code = (
            asyncssh.OPEN_CONNECT_FAILED
            if status >= 500  # noqa: PLR2004 -- it is not the person's doing
            else asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
        )
        raise asyncssh.ChannelOpenError(code, refusal.detail) from refusal
    except asyncssh.ChannelOpenError:
        raise
    except Exception as failure:
        log.exception("%s could not be opened", what)
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, FAILED) from failure
