"""What the playback page reads: the cast, the transcript, the commands; and its verify button."""

from __future__ import annotations

import re
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from jit.identity.authentication import actor_of
from jit.web.htmx import PageRequest, page
from jit.web.streaming import stream
from sessions import playing, recordings, verifying
from sessions.operations import viewing

_SECONDS = re.compile(r"[0-9]{1,8}(\.[0-9]{1,6})?")
LINES = 200
COMMANDS = 200


@require_GET
@page()
def cast(request: PageRequest, session_id: UUID) -> HttpResponseBase:
    """Send a part of the recording as the player takes it, `from` a second on; that is a view
    of it, on the record.
    """
    session, recording = recordings.visible_to(request.user, session_id)
    given = request.GET.get("from", "")
    start = round(float(given) * 1_000_000) if _SECONDS.fullmatch(given) else 0
    header, events = recordings.read(recording)
    if start:
        viewing.viewed(session=session, how="replay", actor=actor_of(request), **{"from": given})
    else:
        viewing.looked(session=session, user=request.user, actor=actor_of(request))
    shown = playing.marked(playing.for_player(events), recordings.marks_of(session))
    lines = playing.part(header, shown, start=start)
    return stream(request, lines, content_type="application/x-asciicast")


@require_GET
@page()
def download(request: PageRequest, session_id: UUID, form: str) -> HttpResponseBase:
    """Send the recording as a file: asciicast `v2` or `v3`, or what was shown as `text`."""
    session, recording = recordings.visible_to(request.user, session_id)
    return recordings.as_file(request, session, recording, form=form, actor=actor_of(request))


@require_GET
@page()
def transcript(request: PageRequest, session_id: UUID) -> HttpResponse:
    """Draw what was shown, line by line with its second, or the lines that hold `q`."""
    session, recording = recordings.visible_to(request.user, session_id)
    q = request.GET.get("q", "").strip().replace("\0", "")[:200]
    after = request.GET.get("after", "")
    number = int(after) if after.isdecimal() and len(after) < 10 else -1  # noqa: PLR2004 -- an int4
    lines = recordings.lines_of(session, most=LINES + 1, q=q, after=number)
    if q:
        viewing.viewed(session=session, how="transcript", actor=actor_of(request), q=q)
    else:
        viewing.looked(session=session, user=request.user, actor=actor_of(request))
    context = {
        "session": session,
        "recording": recording,
        "q": q,
        "lines": lines[:LINES],
        "next": lines[LINES - 1].number if len(lines) > LINES else None,
        "first": number < 0,
    }
    return render(request, "sessions/_transcript.html", context)


@require_GET
@page()
def commands(request: PageRequest, session_id: UUID) -> HttpResponse:
    """Draw what was done: commands in their tiers, files, or a database's statements."""
    session, recording = recordings.visible_to(request.user, session_id)
    after = request.GET.get("after", "")
    number = int(after) if after.isdecimal() and len(after) < 10 else -1  # noqa: PLR2004 -- an int4
    found = recordings.commands_of(session, most=COMMANDS + 1, after=number)
    viewing.looked(session=session, user=request.user, actor=actor_of(request))
    context = {
        "session": session,
        "recording": recording,
        "commands": found[:COMMANDS],
        "next": found[COMMANDS - 1].number if len(found) > COMMANDS else None,
        "first": number < 0,
    }
    statements = session.kind == "postgresql"
    template = "sessions/_statements.html" if statements else "sessions/_commands.html"
    return render(request, template, context)


@require_POST
@page()
def verify(request: PageRequest, session_id: UUID) -> HttpResponse:
    """Read every piece again and hold it against the books and the sealed log."""
    session, recording = recordings.visible_to(request.user, session_id)
    found = verifying.verify(session, recording)
    return render(request, "sessions/_verified.html", {"found": found, "session": session})
