"""How many SQL statements a call takes, at a hundred rows and at a hundred thousand."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals.models import Chain, Step
from jit.elevation.models import ElevationRequest, Grant
from tests.support.world import ADMIN, READER, WRITER

FEW, MANY = 100, 100_000
MOST_LOOKED_AT = 1_000
"""Rows a page of fifty may read in one statement, with what belongs to each."""
SMALL = {
    "ruling": {
        "outcome": "auto",
        "rule": "any",
        "guardrails": [],
        "max_duration_seconds": 600,
        "obligations": {},
        "chain": [],
    },
    "ticket": {"system": "local", "key": "OPS-1"},
}
"""What a copy of a request holds in place of the original's long documents."""


class Statements(CaptureQueriesContext):
    """Counts what a call sends; the savepoints are the test's own transaction."""

    def __init__(self) -> None:
        super().__init__(connection)

    @property
    def sent(self) -> list[str]:
        return [
            query["sql"]
            for query in self.captured_queries
            if not query["sql"].startswith(("SAVEPOINT", "RELEASE SAVEPOINT"))
        ]


def rows_looked_at(sql: str) -> int:
    """Return how many rows PostgreSQL reads of tables and indexes to answer this SELECT."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {sql}")
        (found,) = cursor.fetchone()
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return sum(_read_by(node) for node in _nodes(plan))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _read_by(node: dict[str, Any]) -> int:
    if "Scan" not in node["Node Type"]:
        return 0
    each = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return round((each + node.get("Rows Removed by Index Recheck", 0)) * node["Actual Loops"])


def within(statements: Statements, promise: int, what: str) -> None:
    """Assert the promise, and print the count for `make bench`."""
    sys.stdout.write(f"counted: {what} | {len(statements.sent)} | {promise}\n")
    assert len(statements.sent) <= promise, listed(statements)


def listed(statements: Statements) -> str:
    return f"{len(statements.sent)} statements:\n" + "\n".join(sql[:160] for sql in statements.sent)


def multiply(request: ElevationRequest, upto: int) -> None:
    """Copy the request with its chain, step and grant until there are `upto` of each.

    The copies' ids are their number, so that they point at each other without a look-up.
    """
    have = ElevationRequest.objects.count() - 1
    ids = {
        "elevation_elevationrequest": (request.pk, SMALL),
        "approvals_chain": (Chain.objects.get(request=request).pk, {}),
        "approvals_step": (Step.objects.get(chain__request=request).pk, {}),
        "elevation_grant": (Grant.objects.get(request=request).pk, {"evidence": {}}),
    }
    own = {
        "elevation_elevationrequest": "'created_at', now() - n * interval '1 second'",
        "approvals_chain": "'request_id', i",
        "approvals_step": "'chain_id', i",
        "elevation_grant": "'request_id', i, 'external_name', 'jit_' || n,"
        " 'created_at', now() - n * interval '1 second'",
    }
    with connection.cursor() as cursor:
        for table, (pk, small) in ids.items():
            cursor.execute(
                f"INSERT INTO {table} SELECT copy.* FROM {table} t, generate_series(%s, %s) n,"
                " LATERAL (SELECT lpad(to_hex(n), 32, '0')::uuid AS i) made,"
                " LATERAL jsonb_populate_record(t, %s::jsonb ||"
                f" jsonb_build_object('id', i, {own[table]})) copy WHERE t.id = %s",
                [have + 1, upto - 1, json.dumps(small), pk],
            )
        # As autovacuum does in production; only a table's owner may.
        cursor.execute("RESET ROLE")
        cursor.execute(f"ANALYZE {', '.join([*ids, 'identity_user', 'catalog_role'])}")
        cursor.execute("SET ROLE jit_app")


@pytest.fixture
def ended(world: Any) -> ElevationRequest:
    """One request of rita's that went all the way."""
    from jit.workflow import revoke

    grant = world.grant()
    revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
    assert revoke.revoke_due() == 1
    return ElevationRequest.objects.get(pk=grant.request_id)


class TestAsk:
    @pytest.mark.parametrize("role", [READER, WRITER, ADMIN])
    def test_takes_at_most_fifteen(self, world: Any, role: str) -> None:
        rita = world.api("rita")
        ask = {
            "role": role,
            "ticket": world.tickets["sev2"],
            "justification": "The checkout times out.",
            "duration_seconds": 600,
        }
        rita.post("requests/preview/", ask)  # what a process does once: the policy, the types
        with Statements() as statements:
            answer = rita.post("requests/", ask)
        assert answer.status_code == 201, answer.content
        within(statements, 15, f"ask for {role}")


class TestList:
    @pytest.mark.parametrize("path", ["requests/", "grants/"])
    @pytest.mark.parametrize("name", ["rita", "ada", "olga", "udo"])
    def test_of_fifty_takes_at_most_six(
        self, world: Any, ended: ElevationRequest, path: str, name: str
    ) -> None:
        multiply(ended, FEW)
        person = world.api(name)
        person.get("me/")
        with Statements() as statements:
            answer = person.get(path, limit="50")
        assert len(answer.json()["items"]) == 50
        within(statements, 6, f"{path} of 50, by {name}")

    def test_takes_the_same_at_a_hundred_thousand(
        self, world: Any, ended: ElevationRequest
    ) -> None:
        rita, udo = world.api("rita"), world.api("udo")
        for person in (rita, udo):
            person.get("me/")  # notes that the token is used
        counts: dict[int, list[int]] = {}
        looked_at: dict[int, list[int]] = {}
        for rows in (FEW, MANY):
            multiply(ended, rows)
            assert ElevationRequest.objects.count() == rows
            counts[rows], looked_at[rows] = [], []
            for person, path in ((rita, "requests/"), (udo, "requests/"), (rita, "grants/")):
                with Statements() as statements:
                    answer = person.get(path, limit="50")
                assert len(answer.json()["items"]) == 50
                within(statements, 6, f"{path} of 50 in {rows}")
                counts[rows].append(len(statements.sent))
                looked_at[rows] += [rows_looked_at(sql) for sql in statements.sent]
        assert counts[FEW] == counts[MANY]
        assert max(looked_at[FEW]) <= MOST_LOOKED_AT, "what few rows cost"
        assert max(looked_at[MANY]) <= MOST_LOOKED_AT, "a page of fifty reads the whole table"

    def test_of_the_inbox_takes_at_most_six(self, world: Any) -> None:
        for name in ("rita", "bo"):
            world.ask(name, ticket=world.tickets["bos"])
        ada = world.api("ada")
        with Statements() as statements:
            answer = ada.get("inbox/")
        assert len(answer.json()["items"]) == 2
        within(statements, 6, "inbox/")
