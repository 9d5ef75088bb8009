"""What imports can't say (docs/architecture.md); import-linter keeps the rest."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

from jit.api.views import Resource
from jit.ops import state_tables

ROOT = Path(settings.BASE_DIR)
PACKAGES = ("jit", "approvals", "sessions")


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


class TestStates:
    def test_a_state_is_assigned_in_one_place(self) -> None:
        found = {
            named(path)
            for path in sources()
            for line in path.read_text(encoding="utf-8").splitlines()
            if re.search(r"\.state\s*=[^=]|\.update\([^)]*\bstate=", line) and "t.state" not in line
        }
        assert found == {"jit/audit/operations.py"}

    def test_only_operations_move_states(self) -> None:
        callers = {
            named(path)
            for path in sources()
            if re.search(r"audit\.transition(_many)?\(", path.read_text(encoding="utf-8"))
        }
        allowed = {
            "approvals/operations.py",
            "jit/elevation/operations/requests.py",
            "jit/elevation/operations/grants.py",
            "jit/elevation/operations/reviews.py",
            "sessions/operations/lifecycle.py",
            "jit/workflow/revoke.py",  # the sweep moves hundreds of grants in one statement
        }
        assert callers <= allowed

    def test_the_documented_moves_are_the_real_ones(self) -> None:
        page = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
        assert page == state_tables.document(), "run: manage.py states --write"


class TestDoors:
    def test_no_view_reaches_for_the_tables(self) -> None:
        rooms = re.compile(r"(^|/)(views|api|forms|consumers)(/|\.py$)")
        found = [
            named(path)
            for path in sources()
            if rooms.search(named(path)) and ".objects" in path.read_text(encoding="utf-8")
        ]
        assert found == []

    def test_every_address_of_the_interface_names_its_scope(self) -> None:
        for view in api_views():
            methods = {
                name.upper()
                for name in ("get", "post", "patch", "put", "delete")
                if hasattr(view, name)
            }
            assert methods <= set(view.scopes), f"{view.__name__} leaves a method without a scope"
            assert view.throttle_classes, view.__name__

    def test_the_committed_schema_is_the_served_one(self) -> None:
        schema = SchemaGenerator().get_schema(request=None, public=True)
        served = OpenApiYamlRenderer().render(schema, renderer_context={}).decode()
        committed = (ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8")
        assert committed == served, "run: make schema"

    def test_the_schema_is_a_valid_openapi_document(self) -> None:
        import yaml
        from openapi_spec_validator import validate

        validate(yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text(encoding="utf-8")))


def api_views() -> list[type[Resource]]:
    def walk(patterns: list[object]) -> Iterator[type[Resource]]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns)
            elif isinstance(pattern, URLPattern):
                view = getattr(pattern.callback, "view_class", None)
                if isinstance(view, type) and issubclass(view, Resource):
                    yield view

    found = list(walk(get_resolver().url_patterns))
    assert len(found) > 20
    return found


class TestMigrations:
    def test_import_nothing_of_ours(self) -> None:
        for package in PACKAGES:
            for path in (ROOT / package).rglob("migrations/*.py"):
                tree = ast.parse(path.read_text(encoding="utf-8"))
                for node in ast.walk(tree):
                    names = (
                        [alias.name for alias in node.names]
                        if isinstance(node, ast.Import)
                        else [node.module or ""]
                        if isinstance(node, ast.ImportFrom)
                        else []
                    )
                    ours = [name for name in names if name.partition(".")[0] in PACKAGES]
                    assert not ours, f"{named(path)} imports {ours}"

    def test_write_to_the_database_that_is_migrated(self) -> None:
        """It is the owner's; a manager by itself asks the application's, beside the transaction."""
        astray = [
            f"{named(path)}: {line.strip()}"
            for package in PACKAGES
            for path in sorted((ROOT / package).rglob("migrations/*.py"))
            for line in path.read_text(encoding="utf-8").splitlines()
            if ".objects" in line and ".objects.using(" not in line
        ]
        assert astray == []

    @pytest.mark.django_db
    def test_are_complete(self) -> None:
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)


class TestFiles:
    def test_stay_readable_in_one_sitting(self) -> None:
        long = [
            f"{named(path)}: {lines}"
            for path in sources()
            if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 500
        ]
        assert long == [], "split by noun, never into utils"

    def test_every_module_says_what_it_is_for(self) -> None:
        silent = [
            named(path)
            for path in sources()
            if path.name not in {"apps.py", "__init__.py"}
            and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        ]
        assert silent == []


class TestEdgeCases:
    def test_every_test_that_is_named_exists(self) -> None:
        text = (ROOT / "docs/edge-cases.md").read_text(encoding="utf-8")
        named_there = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)::(\w+)`", text))
        assert len(named_there) > 80
        missing = [
            "::".join(one)
            for one in sorted(named_there)
            if not re.search(
                rf"^class {one[1]}\b.*?^    def {one[2]}\(",
                (ROOT / one[0]).read_text(encoding="utf-8"),
                re.MULTILINE | re.DOTALL,
            )
        ]
        assert missing == []
