"""What a catalogue file may hold."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from jit.catalog.entries import CatalogFile, CatalogInvalid, files_in, plain
from tests.jit.catalog.conftest import CATALOGUE

ROLE = {
    "slug": "orders-db-reader",
    "target": "orders-db",
    "name": "Read",
    "risk": "low",
    "owner": "sre-managers",
    "max_duration": 60,
}


class TestPlain:
    def test_reads_yaml(self, written) -> None:
        assert plain(written()[0])["targets"][0]["slug"] == "orders-db"

    def test_an_empty_file_is_an_empty_catalogue(self, written) -> None:
        assert plain(written("# nothing yet\n")[0]) == {}

    @pytest.mark.parametrize(
        "text",
        [
            "targets: [",
            "targets: []\ntargets: []\n",
            "roles:\n  - {slug: a, slug: b}\n",
            "a: &a [1]\nb: [*a, *a]\n",
            "!!python/object/apply:os.system ['true']",
            "a: 2026-99-99\n",
            "? [a]\n: b\n",
            "\x00",
            "[" * 5000,
        ],
    )
    def test_says_where_it_can_not_be_taken(self, written, text) -> None:
        (path,) = written(text)
        with pytest.raises(CatalogInvalid, match=path.name):
            plain(path)

    def test_refuses_what_is_no_text(self, tmp_path) -> None:
        path = tmp_path / "catalogue.yaml"
        path.write_bytes(b"\xff\xfe\xff")
        with pytest.raises(CatalogInvalid):
            plain(path)


class TestFilesIn:
    def test_takes_files_and_folders(self, tmp_path, written) -> None:
        (tmp_path / "team").mkdir()
        (tmp_path / "team" / "b.yml").write_text(CATALOGUE)
        (tmp_path / "notes.txt").write_text("no")
        assert [path.name for path in files_in([*written(), tmp_path / "team"])] == [
            "catalogue.yaml",
            "b.yml",
        ]

    def test_says_what_is_not_there(self, tmp_path) -> None:
        with pytest.raises(CatalogInvalid, match="no YAML file"):
            files_in([tmp_path / "missing"])


class TestCatalogFile:
    @pytest.mark.parametrize(
        ("written", "seconds"), [(60, 60), ("90m", 5400), ("2 h", 7200), ("1d", 86400)]
    )
    def test_reads_durations(self, written, seconds) -> None:
        file = CatalogFile.model_validate({"roles": [{**ROLE, "max_duration": written}]})
        assert file.roles[0].max_duration == seconds

    @pytest.mark.parametrize(
        "wrong",
        [
            {"max_duration": 0},
            {"max_duration": 9},
            {"max_duration": -60},
            {"max_duration": "99d"},
            {"max_duration": "soon"},
            {"max_duration": 60.5},
            {"max_duration": True},
            {"risk": "none"},
            {"slug": "Orders DB"},
            {"slug": ""},
            {"name": ""},
            {"name": "a\x00"},
            {"tags": {"a": ["b"]}},
            {"unknown": 1},
        ],
    )
    def test_refuses(self, wrong) -> None:
        with pytest.raises(ValidationError):
            CatalogFile.model_validate({"roles": [{**ROLE, **wrong}]})
