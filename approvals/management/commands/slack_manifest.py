"""`manage.py slack_manifest`: print the Slack app's manifest, or write the committed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from approvals.slack import manifest


class Command(BaseCommand):
    help = "Print the Slack app's manifest for this installation's address."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--socket-mode", action="store_true")
        parser.add_argument(
            "--write", action="store_true", help="write deploy/slack-manifest.yaml instead"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["write"]:
            path = Path(settings.BASE_DIR) / "deploy" / "slack-manifest.yaml"
            path.write_text(manifest.as_yaml(), encoding="utf-8")
            return
        self.stdout.write(
            manifest.as_yaml(base_url=settings.BASE_URL, socket_mode=options["socket_mode"])
        )
