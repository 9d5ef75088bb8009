"""`manage.py ssh_trust TARGET`: exactly what to put on the target's hosts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from jit.catalog import queries as catalog
from jit.connectors.base import ConnectorError, InvalidConfig
from jit.connectors.ssh import trust
from jit.connectors.ssh.authority import Authority
from jit.connectors.ssh.config import SSHConfig, SSHRole


class Command(BaseCommand):
    help = "Print what an SSH target's hosts need: keys, principals, list, refresh, log-in limits."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", help="the target's slug in the catalogue")

    def handle(self, **options: Any) -> None:
        slug = options["target"]
        target = catalog.ssh_target(slug)
        if target is None:
            raise CommandError(f"The catalogue has no target {slug!r} of kind ssh.")
        try:
            config = SSHConfig.parse(target.config)
            roles = {
                role.slug: SSHRole.parse(role.config) for role in catalog.roles_of_target(target)
            }
            authority = Authority.of(config)
        except (InvalidConfig, ConnectorError) as refused:
            raise CommandError(f"{slug}: {refused.detail}") from None
        self.stdout.write(
            trust.told(
                slug=slug,
                config=config,
                ca=authority.public_key,
                roles=roles,
                url=settings.BASE_URL + reverse("ssh-krl", args=[slug]),
            )
        )
