"""`manage.py catalog diff|apply PATH…`: what the files would change, and making it so."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jit.catalog import loader
from jit.kernel import clock
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.kernel.errors import DomainError


class Command(BaseCommand):
    help = "Show what the catalogue's YAML files would change, or apply it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["diff", "apply"])
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--yes", action="store_true", help="apply without asking")
        parser.add_argument(
            "--partial",
            action="store_true",
            help="leave alone what stands in none of the files (without it, that is retired)",
        )

    def handle(self, **options: Any) -> None:
        try:
            changes = loader.diff(options["paths"], partial=options["partial"])
        except DomainError as refused:
            raise CommandError("\n".join(_places(refused)) or refused.detail) from None
        self.stdout.write(loader.told(changes))
        if options["what"] == "diff" or not changes:
            return
        if any(change.refused for change in changes):
            raise CommandError("Nothing was changed: see the lines marked with “! refused”.")
        if not options["yes"] and not _agreed(len(changes)):
            raise CommandError("Nothing was changed.")
        try:
            loader.apply(changes=changes, actor=_actor(), now=clock.now())
        except DomainError as refused:
            raise CommandError(refused.detail) from None
        self.stdout.write(f"Applied {len(changes)} changes.")


def _places(refused: DomainError) -> list[str]:
    return [f"{where}: {what}" for where, each in refused.fields.items() for what in each]


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise CommandError("Nobody is there to ask: look at the diff, then give --yes.")
    return input(f"Apply these {count} changes? [y/N] ").strip().lower() in {"y", "yes"}


def _actor() -> Actor:
    """Return who runs the command: an account of this machine, not one of ours."""
    name = getpass.getuser()
    return Actor(kind=ActorKind.SERVICE, id=f"shell:{name}", name=name, channel=Channel.CLI)
