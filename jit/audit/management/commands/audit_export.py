"""Write the sealed log, or what was added since the last export, as one archive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from jit.audit import exporting, operations, signing
from jit.kernel import clock
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.kernel.errors import NotFound


class Command(BaseCommand):
    help = "Write the sealed audit log as an archive that `audit_verify` and verifier.py check."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", required=True, type=Path, help="the archive to write")
        parser.add_argument(
            "--since", type=int, default=0, help="size of the last export's checkpoint (default 0)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        out, since = options["out"], options["since"]
        partial = out.with_name(out.name + ".partial")
        now = clock.now()
        try:
            with os.fdopen(
                os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            ) as file:
                last = exporting.export(out=file, since=since, now=now)
            partial.replace(out)
        except (NotFound, OSError) as refused:
            partial.unlink(missing_ok=True)
            raise CommandError(str(refused)) from refused
        with transaction.atomic():
            operations.record(
                action="audit.exported",
                actor=_operator(),
                now=now,
                subject=operations.Subject(type="audit", id="log", label="audit log"),
                body={"since": since, "size": last.size, "file": out.name},
            )
        self.stdout.write(f"{out}: events {since} to {last.size}")
        self.stdout.write(f"key: {signing.signer().key}")


def _operator() -> Actor:
    """Return whoever runs this at the installation's own terminal."""
    name = os.environ.get("SUDO_USER") or os.environ.get("USER") or "operator"
    return Actor(kind=ActorKind.SERVICE, id=f"terminal:{name}", name=name, channel=Channel.CLI)
