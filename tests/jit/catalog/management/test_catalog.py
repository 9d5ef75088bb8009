"""`manage.py catalog` at a terminal and in a script."""

from __future__ import annotations

import io
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from jit.catalog.models import Role

pytestmark = pytest.mark.usefixtures("owners")


def run(what: str, paths, answer: str | None = None, **options: object) -> str:
    out = io.StringIO()
    terminal = mock.Mock(isatty=lambda: answer is not None)
    with mock.patch("sys.stdin", terminal), mock.patch("builtins.input", return_value=answer):
        call_command("catalog", what, *map(str, paths), stdout=out, skip_checks=True, **options)
    return out.getvalue()


class TestCatalog:
    def test_diff_shows_and_writes_nothing(self, written) -> None:
        assert "+ create role orders-db-reader" in run("diff", written())
        assert not Role.objects.exists()

    def test_apply_shows_the_diff_first(self, written) -> None:
        told = run("apply", written(), yes=True)
        assert told.index("+ create role orders-db-reader") < told.index("Applied 3 changes.")
        assert Role.objects.count() == 2
        assert run("apply", written(), yes=True) == "The catalogue is as the files say.\n"

    @pytest.mark.parametrize(("answer", "made"), [("y", 2), ("", 0), ("n", 0), (None, 0)])
    def test_apply_asks(self, written, answer, made) -> None:
        if made:
            run("apply", written(), answer)
        else:
            with pytest.raises(CommandError):
                run("apply", written(), answer)
        assert Role.objects.count() == made

    def test_says_where_a_file_is_wrong(self, written) -> None:
        with pytest.raises(CommandError, match=r"catalogue.yaml: roles.0.risk"):
            run("diff", written(**{"risk: low": "risk: odd"}))

    def test_refuses_what_live_grants_need(self, written, live_grant) -> None:
        with pytest.raises(CommandError, match="Nothing was changed"):
            run("apply", written("targets: []\n"), yes=True)
