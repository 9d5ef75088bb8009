"""What a client has asked of its backend and is not answered yet, in the order of asking."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


class MessageKind(Enum):
    PARSE = auto()
    BIND = auto()
    DESCRIBE = auto()
    EXECUTE = auto()
    CLOSE = auto()
    SYNC = auto()
    QUERY = auto()
    CALL = auto()
    COPY_END = auto()


ENDS_A_CYCLE = {MessageKind.SYNC, MessageKind.QUERY, MessageKind.CALL}
"""What the backend answers with ReadyForQuery."""


@dataclass(slots=True)
class PreparedStatement:
    """A statement that was parsed. `shown` and `text` are fit for the record; `types` are
    object ids of the parameters' types, as far as they are known.
    """

    name: str
    text: str
    shown: str
    types: Sequence[int]


@dataclass(slots=True)
class PendingQuery:
    """One message that will be answered."""

    kind: MessageKind
    at: float = 0.0
    prepared: PreparedStatement | None = None
    portal: str = ""
    parameters: list[str | None] = field(default_factory=list)
    parameters_cut: bool = False
    pieces: list[str] = field(default_factory=list)
    whole: str = ""
    answered: int = 0
    failed: bool = False
    names: dict[bytes, Any] | None = None
    name: bytes = b""
    meant: Any = None
    """What `name` meant in `names` before this was asked."""

    @property
    def prepared_name(self) -> str:
        return self.prepared.name if self.prepared else ""

    def undo(self) -> None:
        """Give the name its old meaning back: the backend did not do what was asked."""
        if self.names is None:
            return
        self.names.pop(self.name, None)
        if self.meant is not None:
            self.names[self.name] = self.meant


class PendingQueries:
    """The unanswered ones. Follows the backend's own rules of skipping: after an error in the
    extended protocol it reads on to the next Sync, and while it takes in a COPY it ignores Sync
    (PostgreSQL documentation, sections 54.2.3 and 54.2.6).
    """

    def __init__(self) -> None:
        self._waiting: deque[PendingQuery] = deque()
        self._skipped: list[PendingQuery] = []
        self._skipping = False
        self._copying = False

    def add(self, asked: PendingQuery) -> None:
        """Expect an answer to `asked`, unless the backend will skip it."""
        if asked.kind is MessageKind.COPY_END and self._copying:
            self._copying = False
        elif asked.kind is MessageKind.SYNC and self._copying:
            pass
        elif asked.kind is not MessageKind.SYNC and self._skipping:
            self._skipped.append(asked)
        else:
            self._skipping = self._skipping and asked.kind is not MessageKind.SYNC
            self._waiting.append(asked)

    def skipped(self) -> list[PendingQuery]:
        """Take what the backend skipped because it was asked after an error."""
        skipped, self._skipped = self._skipped, []
        return skipped

    def head(self) -> PendingQuery | None:
        """Return what the next answer is to."""
        while self._waiting and self._waiting[0].kind is MessageKind.COPY_END:
            self._waiting.popleft()
        return self._waiting[0] if self._waiting else None

    def done(self, *kinds: MessageKind) -> PendingQuery | None:
        """Take off what the next answer is to, if it is of one of these kinds."""
        head = self.head()
        if head is None or head.kind not in kinds:
            return None
        return self._waiting.popleft()

    def ready(self) -> PendingQuery | None:
        """Take off everything up to what ReadyForQuery answers, and return that."""
        self._copying = self._skipping = False
        while self._waiting:
            first = self._waiting.popleft()
            if first.kind in ENDS_A_CYCLE:
                return first
        return None

    def copies_in(self) -> None:
        """Forget what the backend will not answer, now that it waits for a COPY's data."""
        head = self.head()
        rest = list(self._waiting)[1:]
        kept: list[PendingQuery] = []
        self._copying = True
        for number, each in enumerate(rest):
            if each.kind is MessageKind.COPY_END:
                self._copying = False
                kept += rest[number + 1 :]
                break
            if each.kind is not MessageKind.SYNC:
                kept.append(each)
        self._waiting = deque([*([head] if head else []), *kept])

    def fails(self) -> tuple[PendingQuery | None, list[PendingQuery]]:
        """Return what failed and what the backend skips because of it; a simple query stays
        until its ReadyForQuery.
        """
        self._copying = False
        head = self.head()
        if head is None:
            return None, []
        if head.kind in ENDS_A_CYCLE:
            return head, []
        self._waiting.popleft()
        skipped: list[PendingQuery] = []
        self._skipping = True
        while self._waiting:
            if self._waiting[0].kind is MessageKind.SYNC:
                self._skipping = False
                break
            skipped.append(self._waiting.popleft())
        return head, skipped
