"""`manage.py secret_remove NAME`: forget a secret of the sealed store."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jit.catalog import sealed_store
from jit.identity.management.terminal import terminal_actor
from jit.kernel import clock
from jit.kernel.errors import DomainError


class Command(BaseCommand):
    help = "Forget the secret db:NAME, which no target refers to any more."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, **options: Any) -> None:
        try:
            sealed_store.remove(name=options["name"], actor=terminal_actor(), now=clock.now())
        except DomainError as refused:
            raise CommandError(refused.detail) from None
        self.stdout.write(f"Forgotten: db:{options['name']}")
