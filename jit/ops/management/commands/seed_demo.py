"""`manage.py seed_demo`: put the demo of `make run` in place."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jit.ops.demo import seed


class Command(BaseCommand):
    help = "Seed the demo installation (called by `make run`; safe to repeat)."

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            seed.seed()
        except seed.NoPlace as missing:
            raise CommandError(str(missing)) from missing
