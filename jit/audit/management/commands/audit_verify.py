"""Check an export or an evidence pack; `verifier.py` does the same without the installation."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jit.audit import checking, verifier


class Command(BaseCommand):
    help = "Say whether an export (or, with --database, the stored log) is what was sealed."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", help="an export or evidence pack")
        parser.add_argument("--key", action="append", default=[], help="a verifier key to trust")
        parser.add_argument("--kept", help="file of a checkpoint kept from an earlier visit")
        parser.add_argument(
            "--database", action="store_true", help="check the whole stored log instead of a file"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["database"] == bool(options["file"]):
            raise CommandError("Name a file, or give --database.")
        if options["database"]:
            found = checking.verify_everything()
            self.stdout.write(f"{found.outcome}: {found.detail}")
            if not found.valid:
                sys.exit(1)
            return
        arguments = [options["file"]]
        for key in options["key"]:
            arguments += ["--key", key]
        if options["kept"]:
            arguments += ["--kept", options["kept"]]
        status = verifier.main(arguments)
        if status:
            sys.exit(status)
