"""`manage.py recording_retry`: give recordings that were set aside back to the gateways here."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from sessions.recording import spool


class Command(BaseCommand):
    help = "Put what lies in this machine's set-aside folder back; a gateway takes it within 15 s."

    def handle(self, *_args: Any, **_options: Any) -> None:
        for session_id in spool.give_back(settings.RECORDINGS_SPOOL):
            self.stdout.write(f"{session_id} is tried again")
