"""Long answers, a piece at a time, in whichever way the server under us asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

PIECE = 256 * 1024
_END: Any = object()


def stream(request: HttpRequest, lines: Iterable[bytes], **options: Any) -> StreamingHttpResponse:
    """Return an answer of these lines, made while they are sent; never cached."""
    pieces = _joined(lines)
    body = _asked_in_turn(pieces) if isinstance(request, ASGIRequest) else pieces
    response = StreamingHttpResponse(body, **options)
    response.headers["Cache-Control"] = "no-store"
    return response


def _joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    waiting, size = [], 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


async def _asked_in_turn(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Make each piece in a thread: reading and decrypting must not hold up the event loop."""
    ask = sync_to_async(lambda: next(pieces, _END))
    while (piece := await ask()) is not _END:
        yield piece
