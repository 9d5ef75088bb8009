"""What a session does, statement by statement, as the recording gets it.

What is asked is written down before it is passed on to the target, and how it went before that
is passed on to the client.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from sessions.gateways.interfaces import RecordingSink
from sessions.gateways.observing import rendering
from sessions.gateways.observing.statement_log import StatementLog
from sessions.gateways.postgresql.protocol import framing, lexing, masking, values
from sessions.gateways.postgresql.protocol.framing import Malformed, text_at, u32
from sessions.gateways.postgresql.protocol.pending import (
    MessageKind,
    PendingQueries,
    PendingQuery,
    PreparedStatement,
)

NOT_RUN = "not run: an earlier one failed"
_KEPT_PREPARED = 5_000
_CODECS = {
    "UTF8": "utf-8",
    "SQL_ASCII": "utf-8",
    "LATIN1": "latin-1",
    "LATIN9": "iso8859-15",
    "WIN1252": "cp1252",
    "WIN1251": "cp1251",
    "EUC_JP": "euc_jp",
    "SJIS": "shift_jis",
    "GBK": "gbk",
    "BIG5": "big5",
}
_FORGETS_PORTALS = {"COMMIT", "ROLLBACK", "CLOSE CURSOR", "CLOSE CURSOR ALL", "DECLARE CURSOR"}
_FORGETS_NAMES = {"DEALLOCATE", "DEALLOCATE ALL", "DISCARD ALL", *_FORGETS_PORTALS}
_DEALLOCATE = re.compile(
    r'deallocate(?:\s+prepare)?\s+(?:"([^"]+)"|([a-z_]\w*))\s*;?', re.IGNORECASE
)


class StatementObserver(StatementLog):
    """Listens to both directions of one session; the relay calls it with whole messages.

    Which text stands behind a name follows what the target accepted: a name that it refused,
    or skipped after an error, keeps its old meaning.
    """

    def __init__(self, recording: RecordingSink | None, *, database: str) -> None:
        super().__init__(recording, database=database)
        self._codec = "utf-8"
        self._prepared: dict[bytes, PreparedStatement] = {}
        self._portals: dict[bytes, tuple[values.Bound, PreparedStatement]] = {}
        self._queue = PendingQueries()
        self._when_asked: dict[int, Callable[[bytes], object]] = {
            ord("Q"): self._query,
            ord("P"): self._parse,
            ord("B"): self._bind,
            ord("D"): self._describe,
            ord("E"): self._execute,
            ord("C"): self._close,
            ord("S"): self._sync,
            ord("F"): self._call,
            ord("c"): self._copy_end,
            ord("f"): self._copy_end,
            ord("H"): self._nothing,
            ord("X"): self._nothing,
        }
        self._when_answered: dict[int, Callable[[bytes], object]] = {
            ord("C"): self._complete,
            ord("I"): self._empty,
            ord("s"): self._suspended,
            ord("V"): self._called,
            ord("E"): self._failed,
            ord("Z"): self._ready,
            ord("t"): self._described,
            ord("T"): self._row_description,
            ord("n"): self._row_description,
            ord("1"): lambda _: self._queue.done(MessageKind.PARSE),
            ord("2"): lambda _: self._queue.done(MessageKind.BIND),
            ord("3"): lambda _: self._queue.done(MessageKind.CLOSE),
            ord("G"): self._copy_in,
            ord("H"): self._copy_out,
            ord("S"): self._status,
        }

    @property
    def busy(self) -> bool:
        """Whether the target owes an answer."""
        return self._queue.head() is not None

    # --- From the client --------------------------------------------------------------

    def from_client(self, kind: int, body: bytes) -> None:
        """Take note of a message that is about to be passed on to the target."""
        handler = self._when_asked.get(kind)
        if handler is None:
            raise Malformed(f"a message of kind {chr(kind)!r} has no place here")
        handler(body)

    def copied(self, length: int) -> None:
        """Take note of a piece of a COPY, in whichever direction."""
        self.row_bytes += length
        if self.copies == "out":
            self.rows += 1

    def _query(self, body: bytes) -> None:
        text = masking.mask(self._text(body[:-1]))
        pieces = lexing.split(text)
        entry = PendingQuery(MessageKind.QUERY, time.monotonic(), pieces=pieces, whole=text)
        self._queue.add(entry)
        self.show(rendering.plain(text.strip()))

    def _parse(self, body: bytes) -> None:
        name, at = text_at(body, 0)
        raw, at = text_at(body, at)
        types = framing.object_ids(body, at)
        text = masking.mask(self._text(raw))
        prepared = PreparedStatement(self._text(name), text, rendering.plain(text.strip()), types)
        if len(self._prepared) >= _KEPT_PREPARED and name not in self._prepared:
            raise Malformed(f"more than {_KEPT_PREPARED} prepared statements")
        self._note(
            PendingQuery(MessageKind.PARSE, time.monotonic(), prepared),
            self._prepared,
            name,
            prepared,
        )

    def _bind(self, body: bytes) -> None:
        bound = values.read_bind(body)
        if len(self._portals) >= _KEPT_PREPARED and bound.portal not in self._portals:
            raise Malformed(f"more than {_KEPT_PREPARED} open portals")
        known = self._prepared.get(bound.statement)
        # What was prepared by SQL's own PREPARE is bound by a name that we did not see parsed.
        prepared = known or _unseen(self._text(bound.statement))
        entry = PendingQuery(MessageKind.BIND, time.monotonic(), prepared)
        self._note(entry, self._portals, bound.portal, (bound, prepared))

    def _describe(self, body: bytes) -> None:
        prepared = self._prepared.get(body[1:-1]) if body[:1] == b"S" else None
        self._queue.add(PendingQuery(MessageKind.DESCRIBE, 0.0, prepared))

    def _execute(self, body: bytes) -> None:
        portal, _ = text_at(body, 0)
        if known := self._portals.get(portal):
            bound, prepared = known
            told, cut = values.as_text(bound, prepared.types)
        else:
            prepared, told, cut = _unseen(self._text(portal)), [], False
        entry = PendingQuery(
            MessageKind.EXECUTE, time.monotonic(), prepared, self._text(portal), told, cut
        )
        self._queue.add(entry)
        self.show(prepared.shown, told, f"-- cursor {entry.portal}" if portal else "")

    def _close(self, body: bytes) -> None:
        names: dict[bytes, Any] = self._prepared if body[:1] == b"S" else self._portals
        self._note(PendingQuery(MessageKind.CLOSE), names, body[1:-1], None)

    def _sync(self, _body: bytes) -> None:
        skipped = self._queue.skipped()
        for each in reversed(skipped):
            each.undo()
        self._not_run(skipped)
        self._queue.add(PendingQuery(MessageKind.SYNC))

    def _call(self, body: bytes) -> None:
        oid = u32.unpack_from(body)[0] if len(body) >= 4 else 0  # noqa: PLR2004 -- an object id
        text = f"-- fast-path call of the function with the object id {oid}"
        entry = PendingQuery(MessageKind.CALL, time.monotonic(), pieces=[text], whole=text)
        entry.parameters = ["\\x" + body[4 : 4 + values.LONGEST].hex()]
        self._queue.add(entry)
        self.show(text, entry.parameters)

    def _copy_end(self, _body: bytes) -> None:
        self._queue.add(PendingQuery(MessageKind.COPY_END))

    def _nothing(self, _body: bytes) -> None:
        pass

    def _note(
        self, entry: PendingQuery, names: dict[bytes, Any], name: bytes, meaning: Any
    ) -> None:
        """Expect an answer to `entry`, and take `name` to mean this from now on."""
        self._queue.add(entry)
        entry.names, entry.name, entry.meant = names, name, names.pop(name, None)
        if meaning is not None:
            names[name] = meaning

    # --- From the target --------------------------------------------------------------

    def from_target(self, kind: int, body: bytes) -> None:
        """Take note of a message that is about to be passed on to the client."""
        handler = self._when_answered.get(kind)
        if handler is not None:
            handler(body)

    def _complete(self, body: bytes) -> None:
        self._one_done(body.rstrip(b"\0").decode("utf-8", "replace"))

    def _empty(self, _body: bytes) -> None:
        # A simple query of comments alone has no pieces; there is nothing to say of it.
        head = self._queue.head()
        if head is None or head.kind is not MessageKind.QUERY or head.pieces:
            self._one_done("")
        elif head.whole.strip():
            head.pieces = [head.whole.strip()]
            self._one_done("")

    def _suspended(self, _body: bytes) -> None:
        self._one_done("PORTAL SUSPENDED")

    def _called(self, _body: bytes) -> None:
        head = self._queue.head()
        if head is not None and head.kind is MessageKind.CALL:
            self.fact(head, head.whole, tag="FUNCTION CALL")

    def _one_done(self, tag: str) -> None:
        head = self._queue.head()
        if head is not None and head.kind is MessageKind.QUERY:
            text = _piece(head)
            self.fact(head, text, tag=tag)
            head.answered += 1
        elif entry := self._queue.done(MessageKind.EXECUTE):
            text = _text_of(entry)
            self.fact(entry, text, tag=tag)
        else:
            return
        if tag in _FORGETS_NAMES:
            self._forget(tag, text)

    def _forget(self, tag: str, text: str) -> None:
        """Names that SQL itself took away may come back with another meaning."""
        if tag in _FORGETS_PORTALS:
            for name in [name for name in self._portals if name]:
                del self._portals[name]
            return
        one = _DEALLOCATE.fullmatch(text.strip())
        if tag == "DEALLOCATE" and one:
            self._prepared.pop((one[1] or one[2].lower()).encode(), None)
        else:
            self._prepared.clear()
            self._portals.clear()

    def _failed(self, body: bytes) -> None:
        fields = framing.error_fields(body)
        error = f"{fields.get('C', '')} {masking.mask(fields.get('M', ''))}".strip()
        head, skipped = self._queue.fails()
        for each in reversed([*([head] if head else []), *skipped]):
            each.undo()
        if head is None:
            self.mark({"kind": "notice", "text": error})
            self.output(rendering.failed(error))
            return
        if head.kind is MessageKind.QUERY:
            head.failed = True
            self.fact(head, _piece(head), error=error)
            head.answered += 1
        elif head.kind is MessageKind.SYNC:
            self.fact(head, "-- at the end of the pipeline", error=error)
        else:
            failed = head
            if head.kind is not MessageKind.EXECUTE and head.prepared:
                # The statement was to be run: that run has the parameters.
                failed = next((each for each in skipped if _would_run(each, head)), head)
            self.fact(failed, _text_of(failed), error=error)
            self._not_run([each for each in skipped if each is not failed])

    def _not_run(self, skipped: Sequence[PendingQuery]) -> None:
        for each in skipped:
            if each.kind in {MessageKind.EXECUTE, MessageKind.QUERY, MessageKind.CALL}:
                self.fact(each, _text_of(each), error=NOT_RUN)

    def _ready(self, body: bytes) -> None:
        self.status = body[:1].decode("ascii", "replace")
        done = self._queue.ready()
        if done is not None and done.kind is MessageKind.QUERY:
            for text in done.pieces[done.answered :]:
                self.fact(done, text, error=NOT_RUN if done.failed else "no answer to it")
        self.start_counting()

    def _described(self, body: bytes) -> None:
        head = self._queue.head()
        if (
            head is not None
            and head.kind is MessageKind.DESCRIBE
            and head.prepared
            and len(body) > 1
        ):
            head.prepared.types = framing.object_ids(body, 0)

    def _row_description(self, _body: bytes) -> None:
        self._queue.done(MessageKind.DESCRIBE)

    def _copy_in(self, _body: bytes) -> None:
        self.copies = "in"
        self._queue.copies_in()

    def _copy_out(self, _body: bytes) -> None:
        self.copies = "out"

    def _status(self, body: bytes) -> None:
        name, _, rest = body.partition(b"\0")
        if name == b"client_encoding":
            self._codec = _CODECS.get(rest.rstrip(b"\0").decode("ascii", "replace"), "utf-8")

    def _text(self, raw: bytes) -> str:
        return raw.decode(self._codec, "backslashreplace")


def _unseen(name: str) -> PreparedStatement:
    text = f"EXECUTE {name}"
    return PreparedStatement(name, text, rendering.plain(text), ())


def _would_run(entry: PendingQuery, made: PendingQuery) -> bool:
    return entry.kind is MessageKind.EXECUTE and entry.prepared is made.prepared


def _text_of(entry: PendingQuery) -> str:
    return entry.prepared.text if entry.prepared else entry.whole


def _piece(head: PendingQuery) -> str:
    """Return the statement that the next answer is to; the whole message where we can't tell."""
    return head.pieces[head.answered] if head.answered < len(head.pieces) else head.whole
