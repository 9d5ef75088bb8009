"""`manage.py states`: print docs/states.md, or write it with `--write`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from jit.ops import state_tables

PAGE = settings.BASE_DIR / "docs" / "states.md"


class Command(BaseCommand):
    help = "Print the states and moves of every machine as docs/states.md holds them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help="write docs/states.md")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["write"]:
            PAGE.write_text(state_tables.document(), encoding="utf-8")
            return
        self.stdout.write(state_tables.document())
