"""References to secrets: what stands in a configuration instead of the secret itself."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from django.conf import settings
from django.utils.module_loading import import_string
from pydantic import AfterValidator, SecretStr

ENV_PREFIX = "JIT_TARGET_"
"""`env:` reads these alone: whoever may write a target's configuration must not be able to
send the application's own secrets to a server of their choice.
"""
LONGEST = 8192
SEALED_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
"""What secrets in the sealed store may be called."""
_FORM = re.compile(r"(env|file|vault|db):(.+)", re.DOTALL)


class SecretUnavailable(Exception):
    """The reference is sound but leads to no secret now; the message never holds one."""


class Reference(str):
    """A checked reference: in a parsed configuration it is told from other text by its type."""

    __slots__ = ()


def _checked(reference: str) -> Reference:
    found = _FORM.fullmatch(reference)
    if not found:
        raise ValueError(
            "a secret is given by reference: env:JIT_TARGET_…, file:/path or db:name; "
            "never the secret itself"
        )
    scheme, rest = found.groups()
    if scheme == "vault":
        raise ValueError("vault: references are not supported yet; use env:, file: or db:")
    if scheme == "env" and not rest.startswith(ENV_PREFIX):
        raise ValueError(f"env: may only name variables that start with {ENV_PREFIX}")
    if scheme == "file" and not rest.startswith("/"):
        raise ValueError("file: needs an absolute path")
    if scheme == "db" and not SEALED_NAME.fullmatch(rest):
        raise ValueError("db: needs a name of small letters, digits, dots and hyphens")
    return Reference(reference)


SecretRef = Annotated[str, AfterValidator(_checked)]
"""`env:NAME`, `file:/path` (its trailing newline is dropped), `db:name`; resolved at each use."""


def resolve(reference: str, *, resolve_db: Callable[[str], SecretStr] | None = None) -> SecretStr:
    """Return the secret that `reference` points to, read now and kept nowhere.

    `resolve_db` opens sealed values by name, the installation's sealed store unless another is
    given. Raises SecretUnavailable.
    """
    scheme, _, rest = _checked(reference).partition(":")
    if scheme == "env":
        value = os.environ.get(rest)
        if not value:
            raise SecretUnavailable(f"the environment variable {rest} is not set")
        return SecretStr(value)
    if scheme == "file":
        return SecretStr(_read(Path(rest)))
    opened: SecretStr = (resolve_db or import_string(settings.SEALED_STORE))(rest)
    return opened


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            value = file.read(LONGEST + 1).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as failure:
        raise SecretUnavailable(f"{path} can't be read: {type(failure).__name__}") from None
    if not value or len(value) > LONGEST:
        raise SecretUnavailable(f"{path} holds no secret of a sensible length")
    return value
