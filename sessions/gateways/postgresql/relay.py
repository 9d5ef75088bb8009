"""Messages from one end to the other, each looked at before it is passed on."""

from __future__ import annotations

from collections.abc import Callable

from sessions.gateways.postgresql.link import Link
from sessions.gateways.postgresql.observing.observer import StatementObserver
from sessions.gateways.postgresql.protocol.framing import HEAD, LONGEST_MESSAGE, Malformed, u32

LONGEST_STATEMENT = 4 * 1024 * 1024
"""Bytes of a statement: what can't be recorded whole is not run."""
HELD = 256 * 1024
"""A row longer than this is passed on in parts; shorter ones only whole, so that there is always
a place between two messages where a session can be told that it ends.
"""
BIG = 1024 * 1024
_ROW, _COPY, _QUERY, _PARSE, _TERMINATE = b"DdQPX"


class MessageTooLong(Exception):
    """A message that is longer than may be; the message is the sentence for the client."""


class MemoryBudget:
    """Memory that all sessions together may use for big messages on their way in, in bytes."""

    def __init__(self, limit: int = 512 * 1024 * 1024) -> None:
        self._left = limit

    def take(self, count: int) -> None:
        if count > self._left:
            raise MessageTooLong(
                "The gateway is taking in too many big values at once; try again in a moment."
            )
        self._left -= count

    def give_back(self, count: int) -> None:
        self._left += count


class MessageStream:
    """One direction: collects what arrives until there are whole messages."""

    def __init__(self, *, limit: int = LONGEST_MESSAGE, budget: MemoryBudget | None = None) -> None:
        self.skip = 0
        """Bytes of the present message that are still to be passed on unseen."""
        self._parts: list[bytes] = []
        self._have = self._need = 0
        self._taken = 0
        self._limit = limit
        self._budget = budget

    def add(self, data: bytes) -> bytes | None:
        """Return everything that waits, with `data`, once it holds what was needed."""
        if not self._parts:
            return data
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return None
        whole = b"".join(self._parts)
        self._parts.clear()
        self.release()
        return whole

    def keep(self, rest: bytes, need: int) -> None:
        """Keep the beginning of a message of which `need` bytes are to be there."""
        if need > self._limit:
            raise MessageTooLong(
                f"A message of {need} bytes is longer than this gateway passes on "
                f"({self._limit // 1024 // 1024} MB). Load big data with COPY."
            )
        if need > BIG and self._budget:
            self._budget.take(need)
            self._taken = need
        self._parts, self._have, self._need = [rest], len(rest), need

    def release(self) -> None:
        if self._budget and self._taken:
            self._budget.give_back(self._taken)
        self._taken = 0


class Relay:
    """Both directions of one session. `before` is called whenever something is about to be
    passed on, and may raise; `said_goodbye` once the client sent its Terminate.
    """

    def __init__(
        self,
        *,
        front: Link,
        back: Link,
        observer: StatementObserver,
        budget: MemoryBudget,
        before: Callable[[], None],
    ) -> None:
        self._front, self._back, self._observer, self._before = front, back, observer, before
        self._up = MessageStream(budget=budget)
        self._down = MessageStream(limit=4 * LONGEST_MESSAGE)
        self.said_goodbye = False

    @property
    def between_messages(self) -> bool:
        """Whether a message of our own may be sent to the client now."""
        return self._down.skip == 0

    def release(self) -> None:
        self._up.release()

    def from_client(self, data: bytes) -> None:
        """Look at what the client sent and pass on what is whole. Raises Malformed, TooLong."""
        stream, observer = self._up, self._observer
        held = stream.add(data)
        if held is None:
            return
        end = len(held)
        at = stream.skip
        while at + HEAD <= end:
            length = u32.unpack_from(held, at + 1)[0]
            kind, stop = held[at], at + 1 + length
            if length < 4:  # noqa: PLR2004 -- a length counts itself
                raise Malformed("a message that is shorter than its length")
            if kind == _COPY:
                observer.copied(length - 4)
            else:
                if length > LONGEST_STATEMENT and kind in {_QUERY, _PARSE}:
                    raise MessageTooLong(
                        f"A statement of {length} bytes is longer than this gateway records "
                        f"({LONGEST_STATEMENT // 1024 // 1024} MB). Load big data with COPY, or "
                        "pass it as a parameter."
                    )
                if stop > end:
                    break
                observer.from_client(kind, held[at + HEAD : stop])
                self.said_goodbye = self.said_goodbye or kind == _TERMINATE
            at = stop
        self._pass_on(stream, self._back, held, at)

    def from_target(self, data: bytes) -> None:
        """Look at what the target sent and pass on what is whole. Raises Malformed, TooLong."""
        stream, observer = self._down, self._observer
        held = stream.add(data)
        if held is None:
            return
        end = len(held)
        at = stream.skip
        rows = size = 0
        unpack = u32.unpack_from
        while at + HEAD <= end:
            length = unpack(held, at + 1)[0]
            kind, stop = held[at], at + 1 + length
            if stop > end and not (length > HELD and (kind in {_ROW, _COPY})):
                if length < 4:  # noqa: PLR2004 -- a length counts itself
                    raise Malformed("the target sent a message that is shorter than its length")
                break
            if kind == _ROW:
                rows += 1
                size += length - 4
            elif kind == _COPY:
                observer.copied(length - 4)
            else:
                if rows:
                    observer.rows += rows
                    observer.row_bytes += size
                    rows = size = 0
                observer.from_target(kind, held[at + HEAD : stop])
            at = stop
        observer.rows += rows
        observer.row_bytes += size
        self._pass_on(stream, self._front, held, at)

    def _pass_on(self, stream: MessageStream, to: Link, held: bytes, at: int) -> None:
        end = len(held)
        if at >= end:
            stream.skip = at - end
            passed = held
        else:
            stream.skip = 0
            need = 1 + u32.unpack_from(held, at + 1)[0] if end - at >= HEAD else HEAD
            stream.keep(held[at:], need)
            passed = held[:at]
        if passed:
            self._before()
            to.write(passed)
