"""The log of the tests' own database, emptied past its own triggers once a test has committed."""

from __future__ import annotations

import psycopg
from django.db import connection

from tests.support import servers

LOG = "audit_event, audit_erasable, audit_leaf, audit_node, audit_checkpoint"


def log() -> None:
    """Leave no event: neither Django's flush nor the owner may, and the next test counts them."""
    url = servers.ensure()["superuser"]
    name = connection.settings_dict["NAME"]
    with psycopg.connect(url, dbname=name, autocommit=True) as superuser:
        superuser.execute("SET session_replication_role = replica; SET lock_timeout = '5s'")
        superuser.execute(f"TRUNCATE {LOG} RESTART IDENTITY")
