"""The ASGI entry: HTTP by Django, websockets by Channels."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import django
from channels.routing import ProtocolTypeRouter
from channels.security.websocket import OriginValidator

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jit.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 -- Django must be set up first

from jit.ops import callers, start  # noqa: E402
from jit.ops.checks import refuse_to_start_if_misconfigured  # noqa: E402
from jit.ops.one_thread import OneThread  # noqa: E402
from jit.ops.proxies import TrustedProxies  # noqa: E402
from jit.routing import websockets  # noqa: E402

# A server may import this inside its event loop, where Django lets nobody ask the database.
with ThreadPoolExecutor(1) as aside:
    aside.submit(refuse_to_start_if_misconfigured).result()
start.warm_up()
application = TrustedProxies(
    ProtocolTypeRouter(
        {"http": OneThread(), "websocket": OriginValidator(websockets, [settings.BASE_URL])}
    ),
    callers.networks(settings.TRUSTED_PROXIES),
)
