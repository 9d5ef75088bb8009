"""The greeting, and the demo people's codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jit.ops.embedded import welcome
from jit.ops.embedded.installation import Place


class TestCode:
    @pytest.mark.parametrize(
        ("at", "digits"),
        [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
    )
    def test_agrees_with_rfc_6238_appendix_b(self, at, digits):
        assert welcome.code("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", at=at) == digits


class TestWelcome:
    def test_says_that_this_is_no_production(self, tmp_path):
        text = welcome.welcome(Place(tmp_path, 8123))
        assert "EMBEDDED mode" in text
        assert "http://127.0.0.1:8123" in text
        assert "Who may sign in" not in text

    def test_names_who_may_sign_in(self, tmp_path):
        people = {"rita": {"password": "a-pass-phrase", "totp_secret": "GEZDGNBV"}}
        (tmp_path / "demo.json").write_text(json.dumps({"people": people}))
        assert "rita               a-pass-phrase" in welcome.welcome(Place(tmp_path, 8123))


class TestMain:
    @pytest.fixture(autouse=True)
    def demo(self, tmp_path: Path, monkeypatch):
        people = {"rita": {"password": "x", "totp_secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}}
        (tmp_path / "demo.json").write_text(json.dumps({"people": people}))
        monkeypatch.setenv("JIT_DATA", str(tmp_path))

    def test_prints_the_code_of_this_moment(self, capsys, monkeypatch):
        monkeypatch.setattr(welcome.time, "time", lambda: 59.0)
        assert welcome.main("rita") == 0
        assert capsys.readouterr().out == "287082   (for 1 s)\n"

    def test_names_the_people_if_asked_for_another(self, capsys):
        assert welcome.main("zed") == 1
        assert "there are: rita" in capsys.readouterr().err
