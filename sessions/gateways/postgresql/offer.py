"""What somebody types to come in by psql, and whose certificate their client should expect."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.urls import reverse

from jit.connectors.postgresql.config import PostgreSQLConfig, PostgreSQLRole, psql_line
from jit.elevation.models import Grant
from sessions.gateways.postgresql.protocol import scram
from sessions.offers import host_and_port
from sessions.operations import tokens
from sessions.states import Door

VERIFIER = "scram-sha-256"
"""The key of a one-use password's verifier, in the form that PostgreSQL keeps its own in."""
OWN_FOLDER = "postgresql-gateway"
SSLMODE = "verify-full"
_GET = """\
(umask 077; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out jit.key) && \
curl -fsS -H "Authorization: Bearer $JIT_TOKEN" -H 'Content-Type: application/json' -d \
'{{"public_key":"'$(openssl pkey -in jit.key -pubout -outform DER | openssl base64 -A)'"}}' \
{url} | \
python3 -c 'import json,sys; print(json.load(sys.stdin)["certificate"], end="")' > jit.crt"""


def configured() -> Mapping[str, Any]:
    """Return the gateway's settings."""
    return settings.POSTGRESQL_GATEWAY


def own_files() -> Path:
    """Return where an embedded installation's gateway keeps the certificate it made itself."""
    return Path(settings.RECORDINGS_SPOOL).parent / "keys" / OWN_FOLDER


def authority() -> str:
    """Return the file of the authority to expect, as a client's `sslrootcert`."""
    named: str = configured()["authority"]
    if named or not settings.EMBEDDED:
        return named or "system"
    return str(own_files() / "authority.pem")


def client_authority() -> tuple[Path, str] | None:
    """Return where the authority of people's certificates is: its certificate's file, and a
    reference to its key (empty where nothing is signed here); None where none are taken.
    """
    given = configured()
    if given["client_authority"]:
        return Path(given["client_authority"]), given["client_key"]
    if settings.EMBEDDED:
        return own_files() / "clients.pem", f"file:{own_files() / 'clients-key.pem'}"
    return None


def databases(target_config: PostgreSQLConfig, role_config: PostgreSQLRole) -> tuple[str, ...]:
    """Return the databases that a grant of the role reaches, the usual one first."""
    return role_config.databases or (target_config.database,)


def offer(*, grant: Grant, address: str, now: dt.datetime) -> dict[str, str]:
    host, port = host_and_port(address)
    config = PostgreSQLConfig.parse(grant.target.config)
    database = databases(config, PostgreSQLRole.parse(grant.role.config))[0]
    password = tokens.new()
    verifier = {VERIFIER: str(scram.make(password, salt=scram.salt_of(grant.external_name)))}
    tokens.issue(grant=grant, door=Door.POSTGRESQL, now=now, plain=password, verifier=verifier)
    line: dict[str, Any] = {
        "host": host,
        "port": port,
        "database": database,
        "user": grant.external_name,
        "ssl": SSLMODE,
        "options": "",
        "authority": authority(),
    }
    return {
        "host": host,
        "port": str(port),
        "database": database,
        "user": grant.external_name,
        "password": password,
        "sslmode": SSLMODE,
        "sslrootcert": authority(),
        "psql": psql_line(**line),
        **(_by_certificate(grant, line) if (client_authority() or ("", ""))[1] else {}),
    }


def _by_certificate(grant: Grant, line: Mapping[str, Any]) -> dict[str, str]:
    """Return how somebody comes in without a password, as often as they like: a command that
    makes a key and has it certified (with a token of theirs), and the line to use it in.
    """
    return {
        "get_certificate": _GET.format(
            url=f"{settings.BASE_URL}{reverse('api-grant-certificate', args=[grant.pk])}"
        ),
        "psql_with_certificate": psql_line(**line, certificate="jit.crt", key="jit.key"),
    }
