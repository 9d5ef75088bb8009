"""Disables or enables an account, ends its sessions, or takes away a lost second factor."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jit.identity import operations, queries
from jit.identity.management.terminal import terminal_actor
from jit.kernel import clock


class Command(BaseCommand):
    help = "Change what an existing account can do."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        act = parser.add_mutually_exclusive_group(required=True)
        act.add_argument("--disable", action="store_true", help="end all it has, at once")
        act.add_argument("--enable", action="store_true", help="let it sign in again")
        act.add_argument("--end-sessions", action="store_true", help="sign it out everywhere")
        act.add_argument(
            "--reset-second-factor",
            action="store_true",
            help="for a lost telephone: a new authenticator is enrolled at the next sign-in",
        )
        parser.add_argument("--reason", default="", help="for the audit log, with --disable")

    def handle(self, *_args: Any, **options: Any) -> None:
        user = queries.user_by_username(options["username"])
        if user is None:
            raise CommandError(f"There is no user {options['username']}.")
        ask: dict[str, Any] = {"user": user, "actor": terminal_actor(), "now": clock.now()}
        if options["disable"]:
            departure = operations.disable_user(reason=options["reason"], **ask)
            self.stdout.write(
                f"{user.username} is disabled: signed out everywhere,"
                f" {departure.tokens_revoked} tokens revoked. Pending requests are being"
                " withdrawn and grants revoked; follow them on the page Grants."
            )
        elif options["enable"]:
            operations.enable_user(**ask)
            self.stdout.write(f"{user.username} may sign in again; old tokens stay revoked.")
        elif options["end_sessions"]:
            operations.end_browser_sessions(**ask)
            self.stdout.write(f"{user.username} is signed out everywhere.")
        else:
            operations.remove_second_factor(**ask)
            self.stdout.write(f"{user.username} enrols a new authenticator at the next sign-in.")
