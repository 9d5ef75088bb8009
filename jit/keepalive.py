"""How long a connection waits for a server that vanished without a good-bye: some ten seconds.

It is probed after _IDLE seconds of silence, every _INTERVAL seconds, _PROBES times; and what was
sent to it waits _UNANSWERED seconds for its receipt. Linux by itself asks a silent one after two
hours, and gives up sending after a quarter of an hour (tcp(7)).
"""

from __future__ import annotations

import socket
from typing import Final

_IDLE: Final = 5
_INTERVAL: Final = 2
_PROBES: Final = 3
_UNANSWERED: Final = 10

LIBPQ: Final = {
    "keepalives_idle": str(_IDLE),
    "keepalives_interval": str(_INTERVAL),
    "keepalives_count": str(_PROBES),
    "tcp_user_timeout": str(_UNANSWERED * 1000),
}
"""For a connection to PostgreSQL (its manual, 34.1.2)."""

TCP: Final = {
    getattr(socket, name): value
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE),
        ("TCP_KEEPINTVL", _INTERVAL),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", _UNANSWERED * 1000),
    )
    if hasattr(socket, name)
}
"""For a socket: the options at IPPROTO_TCP that this system has. SO_KEEPALIVE turns them on."""
