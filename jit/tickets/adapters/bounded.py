"""The HTTP underneath a ticket system's own client: whole answers, in bounded time and size."""

from __future__ import annotations

import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest

from jit.kernel import answers

ALL_SECONDS = 6
LARGEST = 5_000_000
"""An issue's history holds each version of its description."""
_READ = {requests.codes.ok, requests.codes.created}


class WholeAnswers(HTTPAdapter):
    """Reads an answer for ALL_SECONDS at most, however slowly it drips, and takes for a success
    only 200 and 201 with JSON in it.
    """

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Raises requests' own exceptions, which its users know."""
        give_up_at = time.monotonic() + ALL_SECONDS
        request.headers["Accept-Encoding"] = "identity"  # unpacking is bounded by nothing
        answer = super().send(request, *args, **{**options, "stream": True})
        try:
            content = answers.read_whole(answer, largest=LARGEST, give_up_at=give_up_at)
            if answer.status_code in _READ:
                answers.parsed(answer, content)
            elif answer.ok and not answer.is_redirect:
                raise answers.NotJSON(f"status {answer.status_code}")
        except TimeoutError as slow:
            raise requests.exceptions.ReadTimeout(str(slow)) from None
        except OSError as broken:
            raise requests.exceptions.ConnectionError(str(broken)) from None
        except ValueError as nonsense:
            raise requests.exceptions.InvalidJSONError(str(nonsense)) from None
        finally:
            answer.close()
        answer._content, answer._content_consumed = content, True  # noqa: SLF001 -- what `content` keeps what it read in
        return answer
