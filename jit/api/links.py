"""OpenAPI links: which answer holds the id that another address takes. By these a program (and a
tester) goes from what it made or found to all that can be done with it.
"""

from __future__ import annotations

import re
from typing import Any

_IN_PATH = re.compile(r"\{(\w+)\}")
_NAMED = {name: name for name in ("key", "slug", "digest", "seq")}
"""The fields that name what has no `id`."""


def add(paths: dict[str, dict[str, Any]]) -> None:
    """Link each list, and each POST to it, with the addresses below it that take one name."""
    for path, methods in paths.items():
        below: dict[str, list[str]] = {}
        for other, operations in paths.items():
            if other.startswith(path) and (found := _IN_PATH.match(other, len(path))):
                below.setdefault(found.group(1), []).extend(
                    operation["operationId"] for operation in operations.values()
                )
        for name, targets in below.items():
            field = _NAMED.get(name, "id")
            _link(methods.get("get"), targets, **{name: f"$response.body#/items/0/{field}"})
            _link(methods.get("post"), targets, **{name: f"$response.body#/{field}"})


def _link(operation: Any, targets: list[str], **parameters: str) -> None:
    for status in ("200", "201"):
        answer = operation["responses"].get(status, {}) if operation else {}
        if "content" in answer:
            answer["links"] = {
                target: {"operationId": target, "parameters": parameters} for target in targets
            }
