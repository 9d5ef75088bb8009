from __future__ import annotations

import datetime as dt
import threading

import pytest

from jit.connectors.base import (
    Call,
    Config,
    Context,
    GrantSpec,
    InvalidConfig,
    Issued,
    Moment,
    Unreachable,
)


class Crash(BaseException):
    pass


class TestCall:
    def test_returns_what_the_function_returns_and_writes_it_down(self):
        journal: list[Call] = []
        assert Context(journal=journal.append).call("look", lambda: 7, abort=lambda: None) == 7
        (call,) = journal
        assert (call.step, call.ok, call.error) == ("look", True, "")
        assert call.at.tzinfo is not None
        assert call.milliseconds >= 0

    def test_writes_down_a_failure_and_lets_it_through(self):
        journal: list[Call] = []

        def fail() -> None:
            raise Unreachable("nobody home")

        with pytest.raises(Unreachable, match="nobody home"):
            Context(journal=journal.append).call("look", fail, abort=lambda: None)
        assert (journal[0].ok, journal[0].error) == (False, "Unreachable: nobody home")

    def test_ends_what_takes_too_long(self):
        ended = threading.Event()

        def wait() -> None:
            assert ended.wait(5)
            raise Unreachable("the socket was closed")

        with pytest.raises(Unreachable, match=r"look: no answer within 0\.05 s"):
            Context(timeout_seconds=0.05).call("look", wait, abort=ended.set)

    def test_a_journal_that_fails_undoes_nothing(self, caplog):
        def full(call: Call) -> None:
            raise OSError("disk full")

        assert Context(journal=full).call("look", lambda: 7, abort=lambda: None) == 7
        assert "could not journal the call look" in caplog.text

    @pytest.mark.parametrize(("moment", "done"), [(Moment.BEFORE, 0), (Moment.AFTER, 1)])
    def test_lets_the_kit_crash_before_and_after(self, moment, done):
        calls: list[str] = []

        def crash(step: str, at: Moment) -> None:
            if at is moment:
                raise Crash

        with pytest.raises(Crash):
            Context(interfere=crash).call("do", lambda: calls.append("x"), abort=lambda: None)
        assert len(calls) == done


class TestGrantSpec:
    def test_refuses_a_deadline_without_a_zone(self):
        with pytest.raises(ValueError, match="zone"):
            GrantSpec("1", "jit_1234", "rita", {}, dt.datetime(2030, 1, 1))  # noqa: DTZ001


class TestIssued:
    def test_does_not_print_the_credential(self):
        assert "hunter2" not in repr(Issued({"password": "hunter2"}))


class TestConfig:
    class Example(Config):
        port: int

    def test_is_frozen(self):
        with pytest.raises(ValueError, match="frozen"):
            self.Example(port=1).port = 2

    def test_names_each_field_that_is_wrong_and_repeats_no_value(self):
        with pytest.raises(InvalidConfig) as refusal:
            self.Example.parse({"port": "hunter2", "password": "hunter3"})
        assert set(refusal.value.fields) == {"port", "password"}
        assert "hunter" not in f"{refusal.value!r} {refusal.value.detail} {refusal.value.fields}"
