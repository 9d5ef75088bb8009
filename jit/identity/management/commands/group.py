"""Makes a group, and changes who is in it and what its members may do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from jit.identity import operations, queries
from jit.identity.management.terminal import terminal_actor
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.errors import DomainError


class Command(BaseCommand):
    help = "Make or change a group; all changes of one call happen, or none."

    def add_arguments(self, parser: CommandParser) -> None:
        known = [permission.value for permission in Permission]
        parser.add_argument("slug")
        parser.add_argument("--create", action="store_true")
        parser.add_argument("--name", default="", help="with --create")
        parser.add_argument("--add", action="append", default=[], metavar="USER")
        parser.add_argument("--remove", action="append", default=[], metavar="USER")
        parser.add_argument("--give", action="append", default=[], choices=known)
        parser.add_argument("--take", action="append", default=[], choices=known)

    def handle(self, *_args: Any, **options: Any) -> None:
        slug = options["slug"]
        ask: dict[str, Any] = {"actor": terminal_actor(), "now": clock.now()}
        try:
            with transaction.atomic():
                group = (
                    operations.create_group(slug=slug, name=options["name"], **ask)
                    if options["create"]
                    else queries.group_by_slug(slug)
                )
                if group is None:
                    raise CommandError(f"There is no group {slug}; make it with --create.")
                for username in options["add"]:
                    operations.add_member(group=group, user=_somebody(username), **ask)
                for username in options["remove"]:
                    operations.remove_member(group=group, user=_somebody(username), **ask)
                for permission in options["give"]:
                    operations.give_permission(group=group, permission=permission, **ask)
                for permission in options["take"]:
                    operations.take_permission(group=group, permission=permission, **ask)
        except DomainError as refused:
            raise CommandError(refused.detail) from refused
        members = ", ".join(sorted(user.username for user in queries.members_of(slug)))
        given = ", ".join(queries.permissions_of_group(group))
        self.stdout.write(f"{slug}: members {members or '-'}; permissions {given or '-'}")


def _somebody(username: str) -> User:
    user = queries.user_by_username(username)
    if user is None:
        raise CommandError(f"There is no user {username}.")
    return user
