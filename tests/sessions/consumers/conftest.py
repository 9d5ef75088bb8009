"""A real gateway before a real sshd, and browsers that knock at our websockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sessions.terminal import resuming
from tests.sessions.gateways.conftest import gateway, host, operator
from tests.support import websockets
from tests.support.ssh_gateway import RunningGateway


@pytest.fixture(autouse=True)
def _own_layer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(resuming, "lines", resuming.Lines())
    with websockets.own_layer():
        yield


@pytest.fixture
def door(gateway: RunningGateway, settings: Any) -> RunningGateway:
    """The gateway, where the web process looks for it and knows its key."""
    settings.GATEWAYS = {"ssh": f"{gateway.host}:{gateway.port}"}
    settings.SSH_GATEWAY_KEYS = [str(gateway.key)]
    return gateway


__all__ = ["door", "gateway", "host", "operator"]
