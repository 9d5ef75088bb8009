"""Typed readers of the environment: loud when a value is missing or malformed.

Every secret may come as `X` or, better, as `X_FILE`: the path of a file that holds it.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


class Misconfigured(Exception):
    """The environment can't be run with; the message says which variable and what it takes."""


def text(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise Misconfigured(f"{name} is not set")
    return value


def secret(name: str, default: str | None = None) -> str:
    """Return the value of `name`, or the content of the file that `name_FILE` names."""
    path = os.environ.get(f"{name}_FILE")
    if path and name in os.environ:
        raise Misconfigured(f"set {name} or {name}_FILE, not both")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as unreadable:
            raise Misconfigured(f"{name}_FILE: {unreadable}") from unreadable
    return text(name, default)


def flag(name: str, *, default: bool = False) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off", ""}:
        return False
    raise Misconfigured(f"{name} must be 1 or 0, not {value!r}")


def choice(name: str, default: str, *others: str) -> str:
    """Return the value of `name`, which must be `default` (also when unset) or one of `others`."""
    value = os.environ.get(name, default)
    if value not in {default, *others}:
        raise Misconfigured(f"{name} must be one of {', '.join([default, *others])}, not {value!r}")
    return value


def integer(name: str, default: int) -> int:
    value = os.environ.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError as malformed:
        raise Misconfigured(f"{name} must be a whole number, not {value!r}") from malformed


def listing(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


_IDLE, _INTERVAL, _PROBES, _UNANSWERED = 5, 2, 3, 10
"""A server that vanished without a good-bye is noticed within some ten seconds: probed after so
many seconds of silence, so many seconds apart, so often; and what was sent to it waits so long
for its receipt. Linux by itself asks a silent one after two hours, and gives up sending after a
quarter of an hour (tcp(7)).
"""


def keepalive() -> dict[int, int]:
    """Return that patience as TCP options of a socket, those that this system has."""
    options = {
        "TCP_KEEPIDLE": _IDLE,
        "TCP_KEEPINTVL": _INTERVAL,
        "TCP_KEEPCNT": _PROBES,
        "TCP_USER_TIMEOUT": _UNANSWERED * 1000,
    }
    return {getattr(socket, name): n for name, n in options.items() if hasattr(socket, name)}


def database(url: str) -> dict[str, Any]:
    """Return Django's settings of a `postgresql://user:password@host:port/name` URL;
    a socket folder may be given as `?host=/path`, and any other word of libpq likewise.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme not in {"postgresql", "postgres"}:
        raise Misconfigured("a database URL starts with postgresql://")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", None) or parts.hostname or "",
        "PORT": str(parts.port or query.pop("port", "")),
        "CONN_MAX_AGE": 0,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {
            "pool": {
                "min_size": 2,
                "max_size": integer("JIT_DATABASE_POOL", 12),
                "timeout": 10,
            },
            "application_name": text("JIT_PROCESS", "jit"),
            # The same patience in libpq's words (PostgreSQL 18 manual, 34.1.2).
            "connect_timeout": str(_UNANSWERED),
            "keepalives_idle": str(_IDLE),
            "keepalives_interval": str(_INTERVAL),
            "keepalives_count": str(_PROBES),
            "tcp_user_timeout": str(_UNANSWERED * 1000),
            **query,
        },
    }


def secrets(name: str) -> list[str]:
    """Return the secret and, while it is being changed, the one before (`X_OLD`); only those
    that are set.
    """
    return [found for found in (secret(name, ""), secret(f"{name}_OLD", "")) if found]
