"""A connection to our database apart from Django's and from its pool, with short patience."""

from __future__ import annotations

from typing import Any

from django.db import connections

from jit.pool import Patient

_ANSWERS_WITHIN = 3.0


def connect(*, name: str, options: str = "") -> Patient:
    """Return one in autocommit mode, called `name` at the server; raises psycopg's errors."""
    parameters: dict[str, Any] = connections["default"].get_connection_params()
    for unknown in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(unknown, None)
    given = parameters.pop("options", "")
    connection = Patient.connect(
        **parameters
        | {
            "autocommit": True,
            "connect_timeout": 3,
            "tcp_user_timeout": 3000,
            "application_name": name,
            "options": f"{given} {options}".strip(),
        }
    )
    connection.answers_within = _ANSWERS_WITHIN
    return connection
