"""The description of the interface, for everybody: made once by each process, since making it
costs seconds and whoever asks need not sign in.
"""

from __future__ import annotations

import threading
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SCHEMA_KWARGS, SpectacularAPIView
from rest_framework.request import Request

_made: dict[str, bytes] = {}
_making = threading.Lock()


class Schema(SpectacularAPIView):
    """Answers the OpenAPI document in YAML or, if asked for, in JSON."""

    @extend_schema(**SCHEMA_KWARGS)
    def get(self, request: Request, *_args: Any, **_more: Any) -> HttpResponse:
        renderer = request.accepted_renderer
        # One thread makes it; whoever asks meanwhile waits for that instead of making their own.
        with _making:
            if renderer.format not in _made:
                # Nothing of the request goes in: what one asks for is kept for all.
                generator: Any = self.generator_class()
                described = generator.get_schema(request=None, public=True)
                drawn: Any = renderer.render(described, renderer.media_type, {})
                _made[renderer.format] = drawn.encode() if isinstance(drawn, str) else drawn
        return HttpResponse(_made[renderer.format], content_type=renderer.media_type)
