from __future__ import annotations

import pytest

from jit.policy.files import NoPolicyFiles, read_folder


class TestReadFolder:
    def test_reads_what_is_below_it(self, tmp_path):
        (tmp_path / "team").mkdir()
        (tmp_path / ".git").mkdir()
        for name in ("a.yaml", "team/b.yml", "notes.md", ".hidden.yaml", ".git/c.yaml"):
            (tmp_path / name).write_text(name)
        assert read_folder(tmp_path) == {"a.yaml": "a.yaml", "team/b.yml": "team/b.yml"}

    def test_refuses_a_folder_without_policies(self, tmp_path):
        with pytest.raises(NoPolicyFiles):
            read_folder(tmp_path)
        with pytest.raises(NoPolicyFiles):
            read_folder(tmp_path / "missing")

    def test_refuses_what_is_no_text(self, tmp_path):
        (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
        with pytest.raises(NoPolicyFiles, match="UTF-8"):
            read_folder(tmp_path)
