"""`manage.py ssh_ca create|show|sign-host`: the keys that hosts trust, and that prove hosts."""

from __future__ import annotations

import datetime as dt
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jit.connectors.base import Refused
from jit.connectors.ssh import keys
from jit.connectors.ssh.authority import Authority
from jit.kernel import clock


class Command(BaseCommand):
    help = "Make an SSH certificate authority's key, show its public half, or certify a host."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        create = what.add_parser("create", help="make a key, where there is none")
        create.add_argument("file", type=Path)
        show = what.add_parser("show", help="print the public key and its fingerprint")
        show.add_argument("file", type=Path)
        host = what.add_parser("sign-host", help="certify the host key on standard input")
        host.add_argument("--key", type=Path, required=True, help="the host CA's key file")
        host.add_argument("--name", action="append", required=True, help="a name of the host")
        host.add_argument("--days", type=int, default=365)

    def handle(self, **options: Any) -> None:
        getattr(self, f"_{options['what'].replace('-', '_')}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        path: Path = options["file"]
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise CommandError(
                f"{path} is there already and stays as it is. For a rotation make another file, "
                "name it as the target's ca, and list the old public key under retired_cas."
            ) from None
        except OSError as failure:
            raise CommandError(f"{path}: {failure.strerror}") from None
        with os.fdopen(handle, "w") as file:
            file.write(keys.new_private_key())
        self._show(options)
        self.stdout.write(
            f"Whoever reads {path} can log in everywhere that trusts it: back it up offline, and "
            "refer to it as file:… in the catalogue."
        )

    def _show(self, options: dict[str, Any]) -> None:
        authority = _authority(options["file"])
        self.stdout.write(authority.public_key)
        self.stdout.write(authority.fingerprint)

    def _sign_host(self, options: dict[str, Any]) -> None:
        try:
            line = _authority(options["key"]).sign_host(
                public_key=sys.stdin.read(8192),
                names=options["name"],
                now=clock.now(),
                valid_for=dt.timedelta(days=options["days"]),
            )
        except Refused as refused:
            raise CommandError(f"{refused}.") from None
        self.stdout.write(line)


def _authority(path: Path) -> Authority:
    try:
        return Authority.from_text(path.read_text(encoding="utf-8"))
    except OSError as failure:
        raise CommandError(f"{path}: {failure.strerror}") from None
    except (keys.NotAKey, UnicodeDecodeError) as wrong:
        raise CommandError(f"{path}: {wrong}") from None
