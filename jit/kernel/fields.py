"""Columns that our tables share."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import models

from jit.kernel.ids import uuid7


class Uuid7Field(models.UUIDField[uuid.UUID | str, uuid.UUID]):
    """The primary key of our tables: a UUID version 7 made by the application.

    Migrations see a plain UUIDField without a default, so that they import nothing of ours
    and stay runnable after this module has moved.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("primary_key", True)
        options.setdefault("editable", False)
        options.setdefault("default", uuid7)
        super().__init__(**options)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _, args, options = super().deconstruct()
        options.pop("default", None)
        return name, "django.db.models.UUIDField", args, options
