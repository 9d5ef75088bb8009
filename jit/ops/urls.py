"""The addresses that those who run it ask."""

from __future__ import annotations

from typing import Any

urlpatterns: list[Any] = []
