"""Settings of the gateways (docs/howto/gateways.md)."""

from __future__ import annotations

from typing import Any

from jit import env

GATEWAYS = {
    kind: address
    for kind, address in (
        ("ssh", env.text("JIT_SSH_GATEWAY", "")),
        ("postgresql", env.text("JIT_POSTGRESQL_GATEWAY", "")),
    )
    if address
}
"""Where people reach the gateways, as `host:port`, by the kind of target; none where empty."""
GATEWAY_LISTENS = {
    "ssh": env.text("JIT_SSH_GATEWAY_LISTEN", "127.0.0.1:2222"),
    "postgresql": env.text("JIT_POSTGRESQL_GATEWAY_LISTEN", "127.0.0.1:6432"),
}
"""Where the gateways themselves listen."""
SSH_GATEWAY_KEYS = env.listing("JIT_SSH_GATEWAY_KEYS")
"""The files of the SSH gateway's private host keys."""
SSH_GATEWAY_PUBLIC_KEYS = env.listing("JIT_SSH_GATEWAY_PUBLIC_KEYS")
"""The same keys' public lines, for web processes that can't read those files."""
POSTGRESQL_GATEWAY: dict[str, Any] = {
    "certificate": env.text("JIT_POSTGRESQL_GATEWAY_CERTIFICATE", ""),
    "key": env.text("JIT_POSTGRESQL_GATEWAY_KEY", ""),
    "authority": env.text("JIT_POSTGRESQL_GATEWAY_AUTHORITY", ""),
    "client_authority": env.text("JIT_POSTGRESQL_GATEWAY_CLIENT_AUTHORITY", ""),
    "client_key": env.text("JIT_POSTGRESQL_GATEWAY_CLIENT_KEY", ""),
    "plaintext_on_loopback": env.flag("JIT_POSTGRESQL_GATEWAY_PLAINTEXT"),
    "sessions": env.integer("JIT_POSTGRESQL_GATEWAY_SESSIONS", 500),
}
"""Its certificate and key (PEM files; embedded, it makes its own), the authority that people's
clients check it with (a file of theirs, or empty: the system's), that of client certificates
and a reference to its key (`file:…`, `db:…`; web processes sign with it), whether this
machine's own clients may come without TLS, and how many sessions there may be.
"""
SSH_GATEWAY_FROM_WEB = env.text("JIT_SSH_GATEWAY_FROM_WEB", "")
"""Where the web terminal reaches the SSH gateway, where not at the address that people use."""
ONE_USE_TOKEN_LIFE = env.integer("JIT_ONE_USE_TOKEN_LIFE", 300)
"""Seconds within which a one-use password must be used."""
SESSION_CUT_WAIT = 1.5
"""Seconds that a revocation waits for its gateways before it tries again."""
GATEWAY_FENCE = env.integer("JIT_GATEWAY_FENCE", 30)
"""A gateway that can't reach the database for so long ends its sessions by itself."""
GATEWAY_LOST_AFTER = env.integer("JIT_GATEWAY_LOST_AFTER", 45)
"""A gateway that was not seen for so long is given up; well over its own fence."""
