"""`manage.py run_gateway ssh`: run one of the doors in this process."""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string

from jit.ops.checks import refuse_to_start_if_misconfigured
from sessions.gateways.place import PlaceTaken

GATEWAYS = {"ssh": "sessions.gateways.ssh.server.serve"}


class Command(BaseCommand):
    help = "Run a gateway until it is told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=sorted(GATEWAYS))

    def handle(self, *_args: Any, **options: Any) -> None:
        refuse_to_start_if_misconfigured()
        serve = import_string(GATEWAYS[options["kind"]])
        try:
            asyncio.run(serve())
        except (PlaceTaken, OSError) as unable:
            raise CommandError(str(unable)) from unable
