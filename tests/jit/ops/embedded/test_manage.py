"""`make manage` where nothing runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from jit.ops.embedded import manage


def test_says_what_to_start_where_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JIT_DATA", str(tmp_path))
    assert manage.main(["secret_list"]) == 1
    assert "start it with `make run`" in capsys.readouterr().err
