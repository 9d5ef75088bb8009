"""`manage.py ssh_ca create|show|sign-host`: the keys that hosts trust, and that prove hosts.

A key is in a file, or in the sealed store as `db:NAME`.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from pydantic import SecretStr

from jit.catalog import sealed_store
from jit.connectors import secret_refs
from jit.connectors.base import Refused
from jit.connectors.secret_refs import SecretUnavailable
from jit.connectors.ssh import keys
from jit.connectors.ssh.authority import Authority
from jit.identity.management.terminal import terminal_actor
from jit.kernel import clock
from jit.kernel.errors import DomainError

_WHERE = "a file, or db:NAME in the sealed store"
_STAYS = (
    "{} is there already and stays as it is. For a rotation make another {}, name it as the "
    "target's ca, and list the old public key under retired_cas."
)


class Command(BaseCommand):
    help = "Make an SSH certificate authority's key, show its public half, or certify a host."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        create = what.add_parser("create", help="make a key, where there is none")
        create.add_argument("key", help=_WHERE)
        show = what.add_parser("show", help="print the public key and its fingerprint")
        show.add_argument("key", help=_WHERE)
        host = what.add_parser("sign-host", help="certify the host key on standard input")
        host.add_argument("--key", required=True, help=f"the host CA's: {_WHERE}")
        host.add_argument("--name", action="append", required=True, help="a name of the host")
        host.add_argument("--days", type=int, default=365)

    def handle(self, **options: Any) -> None:
        getattr(self, f"_{options['what'].replace('-', '_')}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        where: str = options["key"]
        text = keys.new_private_key()
        if where.startswith("db:"):
            _sealed(where.removeprefix("db:"), text)
            kept, rest = where, "it is sealed under JIT_SEALING_KEY, of which keep a copy offline"
        else:
            _written(Path(where), text)
            kept, rest = f"file:{where}", f"back {where} up offline"
        self._show(options)
        self.stdout.write(
            f"Whoever has this key can log in everywhere that trusts it; {rest}. Refer to it as "
            f"{kept} in the catalogue."
        )

    def _show(self, options: dict[str, Any]) -> None:
        authority = _authority(options["key"])
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


def _sealed(name: str, text: str) -> None:
    try:
        sealed_store.put(
            name=name,
            secret=SecretStr(text),
            public_key=keys.public_line(keys.read_private(text)),
            actor=terminal_actor(),
            now=clock.now(),
        )
    except sealed_store.SecretExists:
        raise CommandError(_STAYS.format(f"db:{name}", "name")) from None
    except DomainError as refused:
        raise CommandError(refused.detail) from None


def _written(path: Path, text: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(_STAYS.format(path, "file")) from None
    except OSError as failure:
        raise CommandError(f"{path}: {failure.strerror}") from None
    with os.fdopen(handle, "w") as file:
        file.write(text)


def _authority(where: str) -> Authority:
    try:
        if where.startswith("db:"):
            text = secret_refs.resolve(where).get_secret_value()
        else:
            text = Path(where).read_text(encoding="utf-8")
        return Authority.from_text(text)
    except OSError as failure:
        raise CommandError(f"{where}: {failure.strerror}") from None
    except (SecretUnavailable, ValueError) as wrong:  # also NotAKey, and what is no text
        raise CommandError(f"{where}: {wrong}") from None
