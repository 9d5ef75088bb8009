"""Is this recording what was recorded? Asked of its bytes, of the books and of the sealed log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jit.kernel.errors import Conflict
from sessions.models import AccessSession
from sessions.recording import problems as told
from sessions.recording import queries, store_reader
from sessions.recording.models import Recording, Standing


class NothingToVerify(Conflict):
    """There is no stored recording (yet, or any more)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found: `standing` by the bytes, `log` what the sealed event of the session says
    of the same recording (`agrees`, `disagrees`, or `silent` while it is not sealed).
    """

    standing: str
    problems: list[dict[str, Any]] = field(default_factory=list)
    pieces: int
    size: int
    digest: str
    log: str
    event: int | None = None

    @property
    def good(self) -> bool:
        return self.standing == "whole" and self.log == "agrees"


def verify(session: AccessSession, recording: Recording) -> Verified:
    """Read every piece again, from the first to the last. What was not wrong when it was stored
    breaks it, be it only the end that is missing. Raises NothingToVerify.
    """
    if recording.deleted_at is not None:
        raise NothingToVerify("The recording was deleted when its time was over.")
    if recording.stored_at is None:
        raise NothingToVerify("The recording is still on its way to the store; try again soon.")
    problems = store_reader.reading(recording).finish()
    known = {(each["kind"], each["first"], each["last"]) for each in recording.problems}
    fresh = [each for each in problems if (each.kind.value, each.first, each.last) not in known]
    sealed = queries.sealing_of(session)
    log = "silent"
    if sealed is not None:
        log = "agrees" if sealed.digest == recording.digest else "disagrees"
    return Verified(
        standing=(Standing.BROKEN if fresh else told.standing(problems)).value,
        problems=[problem.plain() for problem in problems],
        pieces=recording.pieces,
        size=recording.size,
        digest=recording.digest,
        log=log,
        event=sealed.seq if sealed else None,
    )
