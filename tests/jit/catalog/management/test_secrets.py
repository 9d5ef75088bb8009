"""`manage.py secret_set`, `secret_list` and `secret_remove` at a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from jit.catalog import sealed_store

pytestmark = pytest.mark.django_db


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, skip_checks=True)
    return out.getvalue()


class TestSecretSet:
    def test_takes_what_is_piped_in_and_tells_nobody(self, monkeypatch, capfd) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\n"))
        told = run("secret_set", "orders")
        assert "db:orders" in told
        assert "hunter2" not in told + "".join(capfd.readouterr())
        assert sealed_store.opened("orders").get_secret_value() == "hunter2"

    def test_asks_twice_at_a_terminal(self, monkeypatch) -> None:
        typed = iter(["hunter2", "hunter3", "hunter2", "hunter2"])
        monkeypatch.setattr("sys.stdin", Terminal())
        monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
        with pytest.raises(CommandError, match="two different secrets"):
            run("secret_set", "orders")
        run("secret_set", "orders")
        assert sealed_store.opened("orders").get_secret_value() == "hunter2"

    def test_says_how_to_replace_one(self, monkeypatch) -> None:
        for value in ("hunter2", "other"):
            monkeypatch.setattr("sys.stdin", io.StringIO(value))
            if value == "other":
                with pytest.raises(CommandError, match="--replace"):
                    run("secret_set", "orders")
                monkeypatch.setattr("sys.stdin", io.StringIO(value))
                run("secret_set", "orders", "--replace")
            else:
                run("secret_set", "orders")
        assert sealed_store.opened("orders").get_secret_value() == "other"

    def test_takes_no_more_than_a_secret_can_be(self, monkeypatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("x" * 20_000))
        with pytest.raises(CommandError, match="8192"):
            run("secret_set", "orders")


class TestSecretList:
    def test_shows_names_and_no_secrets(self, monkeypatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("hunter2"))
        run("secret_set", "orders")
        told = run("secret_list")
        assert "db:orders" in told
        assert "no target" in told
        assert "hunter2" not in told


class TestSecretRemove:
    def test_forgets_one_and_says_so(self, monkeypatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("hunter2"))
        run("secret_set", "orders")
        assert "Forgotten: db:orders" in run("secret_remove", "orders")
        with pytest.raises(CommandError, match="no secret orders"):
            run("secret_remove", "orders")
