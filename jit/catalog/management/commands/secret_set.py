"""`manage.py secret_set NAME`: put a secret into the sealed store, from standard input."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from pydantic import SecretStr

from jit.catalog import sealed_store
from jit.connectors.secret_refs import LONGEST
from jit.identity.management.terminal import terminal_actor
from jit.kernel import clock
from jit.kernel.errors import DomainError


class Command(BaseCommand):
    help = "Seal the secret on standard input (or typed, unseen) as db:NAME; it is never printed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--replace", action="store_true", help="put it in the place of the one of this name"
        )

    def handle(self, **options: Any) -> None:
        try:
            sealed_store.put(
                name=options["name"],
                secret=_given(),
                replace=options["replace"],
                actor=terminal_actor(),
                now=clock.now(),
            )
        except DomainError as refused:
            raise CommandError(refused.detail) from None
        self.stdout.write(f"Sealed. Refer to it in the catalogue as db:{options['name']}")


def _given() -> SecretStr:
    """Return what was piped in without its trailing newline, or what somebody typed twice."""
    if not sys.stdin.isatty():
        try:
            return SecretStr(sys.stdin.read(LONGEST + 3).rstrip("\r\n"))
        except UnicodeDecodeError:
            raise CommandError("Standard input is no text in UTF-8.") from None
    first = getpass.getpass("Secret (not shown): ")
    if first != getpass.getpass("Once more: "):
        raise CommandError("These were two different secrets. Nothing was changed.")
    return SecretStr(first)
