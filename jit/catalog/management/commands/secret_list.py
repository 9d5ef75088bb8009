"""`manage.py secret_list`: what the sealed store holds, by name."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from jit.catalog import sealed_store


class Command(BaseCommand):
    help = "List the names of the secrets in the sealed store, who set them when, and for what."

    def handle(self, **_options: Any) -> None:
        rows = sealed_store.secrets()
        if not rows:
            self.stdout.write("The sealed store is empty; manage.py secret_set NAME fills it.")
        for row in rows:
            used = ", ".join(sealed_store.users_of(row.name)) or "no target"
            at = f"{row.set_at:%Y-%m-%d %H:%M} UTC"
            self.stdout.write(f"db:{row.name}  set {at} by {row.set_by}  used by {used}")
