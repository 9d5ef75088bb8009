"""Typed readers of the environment: loud when a value is missing or malformed.

Every secret may come as `X` or, better, as `X_FILE`: the path of a file that holds it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jit import keepalive, pool


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
            "pool": pool.options(integer("JIT_DATABASE_POOL", 12)),
            "application_name": text("JIT_PROCESS", "jit"),
            "connect_timeout": "5",
            **keepalive.LIBPQ,
            **query,
            "options": keepalive.options(query.get("options", "")),
        },
    }


def secrets(name: str) -> list[str]:
    """Return the secret and, while it is being changed, the one before (`X_OLD`); only those
    that are set.
    """
    return [found for found in (secret(name, ""), secret(f"{name}_OLD", "")) if found]
