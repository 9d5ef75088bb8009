from __future__ import annotations

from pathlib import Path

import pytest

from jit import env


class TestSecret:
    def test_comes_from_a_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_text(" s3cret\n", encoding="utf-8")
        monkeypatch.setenv("A_KEY_FILE", str(path))
        assert env.secret("A_KEY") == "s3cret"

    def test_refuses_both_ways_at_once(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("A_KEY", "x")
        monkeypatch.setenv("A_KEY_FILE", str(tmp_path))
        with pytest.raises(env.Misconfigured, match="not both"):
            env.secret("A_KEY")

    def test_names_a_file_that_can_not_be_read(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("A_KEY_FILE", str(tmp_path / "absent"))
        with pytest.raises(env.Misconfigured, match="A_KEY_FILE"):
            env.secret("A_KEY")


class TestText:
    def test_names_what_is_missing(self) -> None:
        with pytest.raises(env.Misconfigured, match="NOT_THERE"):
            env.text("NOT_THERE")


class TestFlag:
    @pytest.mark.parametrize(("text", "value"), [("1", True), ("off", False), ("YES", True)])
    def test_reads(self, monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:
        monkeypatch.setenv("A_FLAG", text)
        assert env.flag("A_FLAG") is value

    def test_refuses_what_is_neither(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("A_FLAG", "maybe")
        with pytest.raises(env.Misconfigured, match="1 or 0"):
            env.flag("A_FLAG")


class TestInteger:
    def test_refuses_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("A_NUMBER", "many")
        with pytest.raises(env.Misconfigured, match="whole number"):
            env.integer("A_NUMBER", 1)


class TestChoice:
    def test_is_one_of_what_there_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("A_CHOICE", raising=False)
        assert env.choice("A_CHOICE", "starttls", "tls") == "starttls"
        monkeypatch.setenv("A_CHOICE", "tls")
        assert env.choice("A_CHOICE", "starttls", "tls") == "tls"
        monkeypatch.setenv("A_CHOICE", "ssl")
        with pytest.raises(env.Misconfigured, match="one of starttls, tls"):
            env.choice("A_CHOICE", "starttls", "tls")


class TestSecrets:
    def test_are_the_current_one_and_the_one_before(self, monkeypatch) -> None:
        assert env.secrets("JIT_X") == []
        monkeypatch.setenv("JIT_X_OLD", "before")
        assert env.secrets("JIT_X") == ["before"]
        monkeypatch.setenv("JIT_X", "now")
        assert env.secrets("JIT_X") == ["now", "before"]


class TestDatabase:
    def test_asks_the_server_to_wait_for_no_process_that_vanished_in_a_transaction(self) -> None:
        asked = env.database("postgresql://jit@db/jit")["OPTIONS"]["options"]
        assert "-c idle_in_transaction_session_timeout=10s" in asked
        assert "-c tcp_keepalives_idle=5" in asked

    def test_adds_what_the_address_asks_for(self) -> None:
        url = "postgresql://jit@db/jit?options=-c%20statement_timeout%3D5s"
        asked = env.database(url)["OPTIONS"]["options"]
        assert asked.endswith("-c statement_timeout=5s")
        assert "idle_in_transaction" in asked
