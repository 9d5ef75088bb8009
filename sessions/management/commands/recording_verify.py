"""`manage.py recording_verify`: read stored recordings against chain, keys and books, now."""

from __future__ import annotations

import argparse
import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jit.kernel import db
from sessions.recording import checking, queries
from sessions.recording.stores.base import store


class Command(BaseCommand):
    help = "Verify the recordings of these sessions (all stored ones with --all); 1 if any is bad."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("sessions", nargs="*", type=uuid.UUID)
        parser.add_argument("--all", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        rows = queries.to_verify()
        if not options["all"]:
            rows = rows.filter(pk__in=options["sessions"])
        if not options["all"] and rows.count() < len(set(options["sessions"])):
            raise CommandError("not all of these sessions have a stored recording")
        bad = 0
        for recording in rows.order_by("pk").iterator(chunk_size=100):
            asked = checking.check(recording, where=store(), now=db.now())
            recording.refresh_from_db()
            fine = asked and not recording.problems
            bad += not fine
            told = "; ".join(each["sentence"] for each in recording.problems)
            standing = recording.standing if asked else "could not be read"
            self.stdout.write(
                f"{recording.pk} {standing} {recording.pieces} pieces {told}".rstrip()
            )
        if bad:
            raise CommandError(f"{bad} recordings are not whole")
