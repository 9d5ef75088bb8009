"""Recordings as people may see them: found through their session, redacted while they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any
from uuid import UUID

from django.http import HttpRequest, StreamingHttpResponse

from jit.identity.models import User
from jit.kernel.actor import Actor
from jit.kernel.errors import InvalidInput, NotFound
from jit.web.streaming import stream
from sessions import playing, queries
from sessions.models import AccessSession
from sessions.operations import viewing
from sessions.recording import exporting, store_reader, terminal
from sessions.recording import queries as recording_queries
from sessions.recording.asciicast import Event
from sessions.recording.models import Command, Recording, Tier, TranscriptLine
from sessions.recording.redaction import Redactor

type Header = Mapping[str, Any]
FORMS = ("v2", "v3", "text")
_FILES = {
    "v2": ("cast", "application/x-asciicast"),
    "v3": ("cast", "application/x-asciicast"),
    "text": ("txt", "text/plain; charset=utf-8"),
}


class NoRecording(NotFound):
    """Nothing of this session was recorded, or it is deleted by now."""


def visible_to(user: User, session_id: UUID) -> tuple[AccessSession, Recording]:
    """Return a session and its recording. Raises UnknownSession and NoRecording."""
    session = queries.session_visible_to(user, session_id)
    recording = of(session)
    if recording is None:
        raise NoRecording("Nothing of this session was recorded.")
    if recording.deleted_at is not None:
        raise NoRecording("This recording's time was over and it was deleted; its history stays.")
    return session, recording


def of(session: AccessSession) -> Recording | None:
    return Recording.objects.filter(session=session).first()


def read(recording: Recording) -> tuple[Header, Iterator[Event]]:
    """Return a recording's header and events, with what is not for eyes made unreadable.

    The header is in the first piece: with that lost, one of the usual size stands in.
    """
    reading = store_reader.reading(recording)
    events = Redactor.of_settings().events(reading.events())
    first = next(events, None)
    header = reading.header or {"term": {"cols": 80, "rows": 24}}
    header = terminal.usable_header(header)
    header["timestamp"] = int(recording.began_at.timestamp())
    rest = events if first is None else chain([first], events)
    return header, rest


def as_file(
    request: HttpRequest,
    session: AccessSession,
    recording: Recording,
    *,
    form: str,
    actor: Actor,
) -> StreamingHttpResponse:
    """Return the recording as a file to keep, and note who took it. Raises InvalidInput."""
    if form not in FORMS:
        raise InvalidInput(
            f"A recording comes as {', '.join(FORMS)}.", fields={"format": ["Unknown."]}
        )
    header, events = read(recording)
    viewing.downloaded(session=session, form=form, actor=actor)
    make: Callable[[], Iterator[bytes]] = {
        "v2": lambda: exporting.v2(header, terminal.on_a_screen(events)),
        "v3": lambda: exporting.v3(header, terminal.on_a_screen(events)),
        "text": lambda: exporting.text(events),
    }[form]
    ending, kind = _FILES[form]
    response = stream(request, make(), content_type=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{session.pk}.{ending}"'
    return response


def lines_of(
    session: AccessSession, *, most: int, q: str = "", after: int = -1
) -> list[TranscriptLine]:
    """Return at most `most` lines that were shown, in order, after the one of that number;
    only those that hold `q`, where it is given. Secrets are hidden in what is returned, and
    what is hidden is not found.
    """
    rows = recording_queries.text_of(TranscriptLine, session).filter(number__gt=after)
    if q:
        rows = rows.filter(text__icontains=q)
    redactor = Redactor.of_settings()
    found = list(rows.order_by("number")[:most])
    for row in found:
        row.text = redactor.text(row.text)
    return [row for row in found if q.casefold() in row.text.casefold()]


def commands_of(session: AccessSession, *, most: int, after: int = -1) -> list[Command]:
    """Return at most `most` of what was done, in order, with secrets hidden. Where a protocol
    names each statement, nothing is guessed from the picture of it.
    """
    rows = recording_queries.text_of(Command, session).filter(number__gt=after)
    if session.kind == "postgresql":
        rows = rows.exclude(tier=Tier.GUESSED)
    redactor = Redactor.of_settings()
    found = list(rows.order_by("number")[:most])
    for row in found:
        row.text = redactor.text(row.text)
        row.detail = {
            name: _redacted(redactor, value) for name, value in (row.detail or {}).items()
        }
    return found


def marks_of(session: AccessSession) -> list[Event]:
    """Return what is known of a shell's commands as marks for a player, in their order. What the
    protocol told is among the recording's own events.
    """
    if session.kind == "postgresql":
        return []
    rows = recording_queries.text_of(Command, session).filter(tier__in=(Tier.TYPED, Tier.GUESSED))
    redactor = Redactor.of_settings()
    return [
        Event(at_ms * 1000, "m", playing.label({"kind": "command", "text": redactor.text(text)}))
        for at_ms, text in rows.order_by("at_ms", "number").values_list("at_ms", "text")
    ]


def _redacted(redactor: Redactor, value: Any) -> Any:
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, list):
        return [_redacted(redactor, one) for one in value]
    return value
