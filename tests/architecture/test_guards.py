"""A compare-and-set keeps its whole guard on the row that it changes (tests.support.guarding)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from django.db.models import Subquery

from jit.kernel import clock
from sessions.models import OneUseToken
from tests.architecture.test_rules import named, sources
from tests.support import guarding

LOOKUPS = {"isnull", "in", "exact", "iexact", "gt", "gte", "lt", "lte", "range"} | {
    "contains",
    "has_key",
    "startswith",
    "date",
}


@pytest.mark.django_db
class TestCheck:
    """Every test runs under `guarding`; these show that it sees what it is for."""

    @pytest.fixture(autouse=True)
    def _are_meant(self) -> Iterator[None]:
        yield
        guarding.refused.clear()

    def test_refuses_a_guard_behind_a_relation(self) -> None:
        unused = OneUseToken.objects.filter(used_at__isnull=True, user__is_active=True)
        with pytest.raises(guarding.GuardIsElsewhere):
            unused.update(used_at=clock.now())
        assert guarding.refused

    def test_refuses_a_guard_in_a_query_for_keys(self) -> None:
        unused = OneUseToken.objects.filter(used_at__isnull=True).values("pk")
        with pytest.raises(guarding.GuardIsElsewhere):
            OneUseToken.objects.filter(pk__in=Subquery(unused)).update(used_at=clock.now())

    def test_refuses_it_in_a_part_of_a_statement(self) -> None:
        with pytest.raises(guarding.GuardIsElsewhere):
            guarding.check(
                'WITH won AS (UPDATE "t" SET a = 1 WHERE id IN (SELECT id FROM u) RETURNING id) '
                "SELECT * FROM won"
            )

    def test_takes_a_guard_on_the_row_and_rows_that_are_held(self) -> None:
        OneUseToken.objects.filter(used_at__isnull=True).update(used_at=clock.now())
        guarding.check("UPDATE t SET a = 1 WHERE id IN (SELECT id FROM t FOR UPDATE SKIP LOCKED)")
        guarding.check("WITH n AS (UPDATE t SET a = 1) INSERT INTO u (SELECT * FROM v)")


def _updates() -> Iterator[tuple[str, ast.Call, dict[str, list[ast.expr]]]]:
    """Yield every `….update(name=…)`, and what its function gives to each name."""
    for path in sources():
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            given: dict[str, list[ast.expr]] = {}
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    given.setdefault(node.targets[0].id, []).append(node.value)
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "update":
                    yield f"{named(path)}:{node.lineno}", node, given


def _asked(rows: ast.expr, given: dict[str, list[ast.expr]]) -> Iterator[str]:
    """Yield the names that a chain of filters asks for, also of the variables it begins from."""
    if isinstance(rows, ast.Call):
        for argument in [rows, *rows.args]:
            for part in ast.walk(argument) if argument is not rows else [rows]:
                if isinstance(part, ast.Call):
                    yield from (keyword.arg for keyword in part.keywords if keyword.arg)
        rows = rows.func
    if isinstance(rows, ast.Attribute):
        yield from _asked(rows.value, given)
    elif isinstance(rows, ast.Name):
        for value in given.get(rows.id, []):
            if not any(
                part.id == rows.id for part in ast.walk(value) if isinstance(part, ast.Name)
            ):
                yield from _asked(value, given)


def test_no_update_filters_through_a_relation() -> None:
    """Also where no test of this process runs it: a name like `user__is_active` is a join."""
    found = {
        f"{where}: {name}"
        for where, update, given in _updates()
        if isinstance(update.func, ast.Attribute)
        for name in _asked(update.func.value, given)
        if set(name.split("__")[1:]) - LOOKUPS
    }
    assert found == set()
