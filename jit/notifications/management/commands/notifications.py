"""manage.py notifications: what waits and fails, try again, send a test."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from jit.audit.operations import Subject
from jit.identity import queries as identity
from jit.kernel import db
from jit.notifications import delivering, operations, queries
from jit.notifications.channels import base
from jit.notifications.kinds import Kind


class Command(BaseCommand):
    help = "Show what waits to be delivered and why; try it again; send somebody a test."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        commands.add_parser("status", help="what waits in each lane, and what fails")
        again = commands.add_parser("retry", help="try again what failed or waits out a backoff")
        again.add_argument("lane", nargs="?", default="", help="email, webhook:<id>, …; else all")
        test = commands.add_parser("test", help="send a test now and say what became of it")
        test.add_argument("username")

    def handle(self, *_args: Any, **options: Any) -> None:
        {"status": self._status, "retry": self._retry, "test": self._test}[options["command"]](
            options
        )

    def _status(self, _options: dict[str, Any]) -> None:
        lanes = queries.lanes(db.now())
        for lane in lanes:
            self.stdout.write(
                f"{lane['lane']}: {lane['waiting']} waiting, {lane['failing']} of them tried in "
                f"vain, the oldest for {lane['oldest_seconds']:.0f} s"
            )
        for row in queries.failing(20):
            self.stdout.write(
                f"  {row.kind} to {row.goes_to} by {row.channel}, try {row.tries}: {row.reason}"
            )
        if not lanes:
            self.stdout.write("Nothing waits.")

    def _retry(self, options: dict[str, Any]) -> None:
        count = operations.try_again(lane=options["lane"], now=db.now())
        self.stdout.write(f"{count} to be tried again now.")

    def _test(self, options: dict[str, Any]) -> None:
        user = identity.user_by_username(options["username"])
        if user is None or not user.is_active:
            raise CommandError(f"There is no active account {options['username']}.")
        now = db.now()
        subject = Subject(type="test", id=f"{user.pk}:{now.timestamp()}", label="a test")
        with transaction.atomic():
            operations.notify(
                kind=Kind.TEST,
                recipients=[user],
                subject=subject,
                payload={},
                key=f"test:{subject.id}",
                now=now,
            )
        for name in base.personal():
            delivering.deliver_lane(name)
        failed = False
        for row in queries.deliveries_of(subject).filter(recipient=user):
            failed = failed or not row.arrived
            self.stdout.write(
                f"{row.channel}: {row.outcome.lower()}{f' ({row.reason})' if row.reason else ''}"
            )
        if failed:
            raise CommandError("Not every channel delivered it.")
