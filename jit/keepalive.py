"""How long a connection waits for a server that vanished without a good-bye, and a database for one
of our processes that did: some ten seconds.

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

SERVER: Final = {
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": str(_IDLE),
    "tcp_keepalives_interval": str(_INTERVAL),
    "tcp_keepalives_count": str(_PROBES),
    "tcp_user_timeout": str(_UNANSWERED * 1000),
}
"""What PostgreSQL is asked to do for us at its end (its manual, 19.3.2 and 19.11.1): a process of
ours that is frozen, or cut off, in the middle of a transaction would keep its locks for ever (a
frozen one) or for two hours (one that is gone), and with them whoever ends privilege. No path of
ours is idle in a transaction for long: it neither asks the network nor computes at length there.
jit/ops/sql/roles.sql gives both roles the same.
"""


def options(*more: str) -> str:
    """Return `SERVER`, and then `more`, as libpq's `options`; what comes later counts."""
    asked = [f"-c {name}={value}" for name, value in SERVER.items()]
    return " ".join([*asked, *(each for each in more if each)])
