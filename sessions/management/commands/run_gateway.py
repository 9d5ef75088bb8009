"""`manage.py run_gateway ssh`: run one or more of the doors in this process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string

from jit.env import Misconfigured
from jit.ops.checks import refuse_to_start_if_misconfigured
from jit.ops.database_watch import wait_for_database
from sessions.gateways.instance import CantListen, SpoolTaken

GATEWAYS = {
    "postgresql": "sessions.gateways.postgresql.service.serve",
    "ssh": "sessions.gateways.ssh.server.serve",
}
"""Each is a coroutine function that serves until the event it is given is set."""


class Command(BaseCommand):
    help = "Run gateways until SIGTERM or SIGINT; then end their sessions in order."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kinds", nargs="+", choices=sorted(GATEWAYS))

    def handle(self, *_args: Any, **options: Any) -> None:
        wait_for_database()
        refuse_to_start_if_misconfigured()
        try:
            asyncio.run(_serve(options["kinds"]))
        except* (SpoolTaken, CantListen, Misconfigured, OSError) as unable:
            raise CommandError("; ".join(map(str, unable.exceptions))) from unable


async def _serve(kinds: Sequence[str]) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, told.set)
    async with asyncio.TaskGroup() as doors:
        for kind in dict.fromkeys(kinds):
            doors.create_task(import_string(GATEWAYS[kind])(told))
