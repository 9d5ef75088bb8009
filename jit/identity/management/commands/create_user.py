"""Makes an account from the terminal, and prints its password once if it made that up."""

from __future__ import annotations

import secrets
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from jit.identity import operations, queries
from jit.identity.management.terminal import terminal_actor
from jit.kernel import clock
from jit.kernel.errors import DomainError


class Command(BaseCommand):
    help = "Make an account. Its authenticator is enrolled at the first sign-in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--display-name", default="")
        parser.add_argument("--email", default="")
        parser.add_argument("--timezone", default="UTC")
        parser.add_argument("--manager", default="", help="the user name of their manager")
        parser.add_argument(
            "--same-person-as", default="", help="another account of the same human"
        )
        parser.add_argument(
            "--group", action="append", default=[], help="an existing group; may be repeated"
        )
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from standard input instead of making one up",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        now, actor = clock.now(), terminal_actor()
        given = sys.stdin.readline().rstrip("\n") if options["password_stdin"] else ""
        if options["password_stdin"] and not given:
            raise CommandError("Standard input holds no password.")
        password = given or secrets.token_urlsafe(15)
        groups = {slug: queries.group_by_slug(slug) for slug in options["group"]}
        if missing := sorted(slug for slug, group in groups.items() if group is None):
            raise CommandError(f"No such group: {', '.join(missing)}. Make it first.")
        try:
            with transaction.atomic():
                user = operations.create_user(
                    username=options["username"],
                    display_name=options["display_name"],
                    email=options["email"],
                    timezone=options["timezone"],
                    password=password,
                    manager=self._somebody(options["manager"]),
                    same_person_as=self._somebody(options["same_person_as"]),
                    actor=actor,
                    now=now,
                )
                for group in groups.values():
                    if group is not None:
                        operations.add_member(group=group, user=user, actor=actor, now=now)
        except DomainError as refused:
            raise CommandError(refused.detail) from refused
        self.stdout.write(f"Made {user.username} ({user.id}).")
        if not given:
            self.stdout.write(f"Password, shown this once: {password}")

    def _somebody(self, username: str) -> Any:
        if not username:
            return None
        user = queries.user_by_username(username)
        if user is None:
            raise CommandError(f"There is no user {username}.")
        return user
