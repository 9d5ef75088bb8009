"""Dotted paths in settings become objects here, as Django does with EMAIL_BACKEND."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string


@cache
def _instance(path: str) -> Any:
    return import_string(path)()


def at(path: str) -> Any:
    """Return the one instance of the class at the dotted `path`. Raises ImportError."""
    return _instance(path)


def from_setting(name: str) -> Any:
    """Return the one instance of the class that setting `name` points to.

    Raises ImportError when the path leads nowhere; `jit.ops.checks` reports that at start.
    """
    return _instance(getattr(settings, name))
