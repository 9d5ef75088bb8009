"""How HTTP requests are answered under ASGI: each in one thread from the first middleware on."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class OneThread(ASGIHandler):
    """Django's handler with its middleware in synchronous order.

    Our views ask the database, synchronously, and Django's own middleware is synchronous within:
    between an asynchronous chain and these, each request went to a thread and back 34 times.
    """

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002 -- Django's signature
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        answer: HttpResponseBase = await sync_to_async(self.get_response)(request)
        return answer
