from __future__ import annotations

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from jit.catalog import sealed_store
from jit.connectors import secret_refs
from jit.connectors.base import Config
from jit.connectors.secret_refs import SecretRef, SecretUnavailable
from jit.kernel import clock
from jit.kernel.actor import CLOCK

reference = TypeAdapter(SecretRef)


class TestSecretRef:
    @pytest.mark.parametrize("good", ["env:JIT_TARGET_ORDERS", "file:/run/secrets/a", "db:orders"])
    def test_accepts_a_reference(self, good):
        assert reference.validate_python(good) == good

    @pytest.mark.parametrize(
        ("bad", "why"),
        [
            ("hunter2", "by reference"),
            ("", "by reference"),
            ("env:", "by reference"),
            ("vault:kv/orders#password", "not supported yet"),
            ("env:JIT_SECRET_KEY", "JIT_TARGET_"),
            ("env:DATABASE_URL", "JIT_TARGET_"),
            ("file:../secret", "absolute"),
            ("db:Orders Key", "small letters"),
        ],
    )
    def test_refuses_the_rest_and_says_why(self, bad, why):
        with pytest.raises(ValidationError, match=why):
            reference.validate_python(bad)


class TestResolve:
    def test_reads_the_environment_at_each_call(self, monkeypatch):
        monkeypatch.setenv("JIT_TARGET_X", "one")
        assert secret_refs.resolve("env:JIT_TARGET_X").get_secret_value() == "one"
        monkeypatch.setenv("JIT_TARGET_X", "two")
        assert secret_refs.resolve("env:JIT_TARGET_X").get_secret_value() == "two"

    def test_says_which_variable_is_missing(self, monkeypatch):
        monkeypatch.delenv("JIT_TARGET_X", raising=False)
        with pytest.raises(SecretUnavailable, match="JIT_TARGET_X is not set"):
            secret_refs.resolve("env:JIT_TARGET_X")

    def test_reads_a_file_without_its_last_newline(self, tmp_path):
        (tmp_path / "secret").write_text("a b\n")
        assert secret_refs.resolve(f"file:{tmp_path}/secret").get_secret_value() == "a b"

    @pytest.mark.parametrize("content", [b"", b"\n", b"x" * 9000, b"\xff\xfe"])
    def test_refuses_a_file_without_a_sensible_secret(self, tmp_path, content):
        (tmp_path / "secret").write_bytes(content)
        with pytest.raises(SecretUnavailable):
            secret_refs.resolve(f"file:{tmp_path}/secret")

    def test_says_that_a_file_is_missing(self, tmp_path):
        with pytest.raises(SecretUnavailable, match="FileNotFoundError"):
            secret_refs.resolve(f"file:{tmp_path}/none")

    def test_asks_the_resolver_for_sealed_values(self):
        opened = secret_refs.resolve("db:orders", resolve_db=lambda name: SecretStr(name.upper()))
        assert opened.get_secret_value() == "ORDERS"
        assert "ORDERS" not in repr(opened)

    @pytest.mark.django_db
    def test_opens_the_installations_sealed_store_otherwise(self):
        with pytest.raises(SecretUnavailable, match=r"manage\.py secret_set orders"):
            secret_refs.resolve("db:orders")
        sealed_store.put(name="orders", secret=SecretStr("hunter2"), actor=CLOCK, now=clock.now())
        assert secret_refs.resolve("db:orders").get_secret_value() == "hunter2"


class TestReferences:
    def test_are_found_wherever_they_stand_in_a_configuration(self):
        class Inner(Config):
            key: SecretRef

        class Outer(Config):
            password: SecretRef | None = None
            plain: str = "db:not-one"
            inner: Inner
            more: tuple[Inner, ...] = ()

        parsed = Outer.parse(
            {"password": "db:a", "inner": {"key": "file:/b"}, "more": [{"key": "db:c"}]}
        )
        assert list(parsed.references()) == ["db:a", "file:/b", "db:c"]
