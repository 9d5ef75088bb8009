"""`manage.py run_slack_socket`: answer Slack by Socket Mode until told to stop."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from approvals.slack import socket_mode
from jit.kernel.errors import DomainError


class Command(BaseCommand):
    help = "Answer Slack over an outgoing connection (Socket Mode); needs JIT_SLACK_APP_TOKEN_FILE."

    def handle(self, *_args: Any, **_options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            socket_mode.run(stop)
        except DomainError as refusal:
            raise CommandError(refusal.detail) from refusal
