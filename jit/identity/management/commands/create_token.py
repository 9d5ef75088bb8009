"""Makes an API token for somebody from the terminal, and prints it once."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jit.identity import operations, queries
from jit.identity.management.terminal import terminal_actor
from jit.identity.models import LONGEST_TOKEN_LIFE
from jit.identity.permissions import Scope
from jit.kernel import clock
from jit.kernel.errors import DomainError


class Command(BaseCommand):
    help = "Make an API token for an account; it is printed once and can't be had again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="what it is for")
        parser.add_argument(
            "--scope",
            action="append",
            required=True,
            choices=[scope.value for scope in Scope],
            help="what it may be used for; may be repeated",
        )
        parser.add_argument("--days", type=int, default=90, help="its life, at most 366 days")

    def handle(self, *_args: Any, **options: Any) -> None:
        now = clock.now()
        user = queries.user_by_username(options["username"])
        if user is None:
            raise CommandError(f"There is no user {options['username']}.")
        if not 0 < options["days"] <= LONGEST_TOKEN_LIFE.days:
            raise CommandError(f"--days takes 1 to {LONGEST_TOKEN_LIFE.days}.")
        try:
            token, plain = operations.create_token(
                user=user,
                name=options["name"],
                scopes=options["scope"],
                expires_at=now + dt.timedelta(days=options["days"]),
                actor=terminal_actor(),
                now=now,
            )
        except DomainError as refused:
            raise CommandError(refused.detail) from refused
        self.stderr.write(
            f"Token of {user.username} for {', '.join(token.scopes)}, until"
            f" {token.expires_at:%Y-%m-%d %H:%M} UTC, shown this once:"
        )
        self.stdout.write(plain)
