"""Several beats at once: one ticks, and losing the lock stops it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from celery import Celery
from django.conf import settings

from jit.ops import beat
from tests.support import servers


@pytest.fixture
def name() -> str:
    return f"test/beat/{secrets.token_hex(4)}"


@pytest.fixture
def superuser() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(servers.ensure()["superuser"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def locks(name: str) -> Iterator[tuple[beat.Lock, beat.Lock]]:
    both = beat.Lock(name), beat.Lock(name)
    yield both
    for lock in both:
        lock.release()


def cut(superuser: psycopg.Connection[Any], lock: beat.Lock) -> None:
    """End the lock's connection as the server does when its holder's machine is gone."""
    assert lock._connection
    pid = lock._connection.info.backend_pid
    superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


class TestLock:
    def test_is_held_by_one_of_two(self, locks):
        first, second = locks
        assert [first.held(), second.held(), first.held(), second.held()] == [
            True,
            False,
            True,
            False,
        ]

    def test_passes_on_when_it_is_released(self, locks):
        first, second = locks
        assert first.held()
        first.release()
        assert second.held()
        assert not first.held()

    def test_is_lost_with_its_connection(self, locks, superuser):
        first, second = locks
        assert first.held()
        cut(superuser, first)
        assert second.held()
        assert not first.held()

    def test_is_taken_again_after_the_connection_was_lost(self, locks, superuser):
        first, _ = locks
        assert first.held()
        cut(superuser, first)
        assert not first.held()
        assert first.held()

    def test_is_not_held_while_the_database_is_away(self, locks, monkeypatch, caplog):
        def unreachable(**_named: str):
            raise psycopg.OperationalError("connection refused")

        monkeypatch.setattr(beat.apart, "connect", unreachable)
        assert not locks[0].held()
        assert "connection refused" in caplog.text

    def test_is_freed_by_the_server_when_its_holder_freezes(self, locks, monkeypatch, superuser):
        monkeypatch.setattr(beat, "_SILENT_FOR_MS", 100)
        frozen, waiting = locks
        assert frozen.held()
        assert frozen._connection
        pid = frozen._connection.info.backend_pid
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        while superuser.execute(gone, [pid]).fetchone() != (0,):
            pass  # It says nothing; the server waits its tenth of a second.
        assert waiting.held()
        assert not frozen.held()


class Recorder(beat.LockedScheduler):
    """A scheduler that notes what it would send."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sent: list[str] = []
        super().__init__(*args, **kwargs)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        self.sent.append(entry.task)


@pytest.fixture
def schedulers(name: str) -> Iterator[tuple[Recorder, Recorder]]:
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {"sweep": {"task": "sweep", "schedule": 0.0}}
    app.conf.beat_max_loop_interval = 300
    kind = type("Named", (Recorder,), {"lock_name": name})
    both = kind(app=app), kind(app=app)
    yield both
    for scheduler in both:
        scheduler.close()


class TestAtOnce:
    @pytest.fixture
    def schedulers(self, schedulers):
        for each in schedulers:
            each.at_once = frozenset({"look"})
            each.schedule = {
                name: each.Entry(name=name, task=name, schedule=3600.0, app=each.app)
                for name in ("look", "tidy")
            }
        return schedulers

    @staticmethod
    def ticked(scheduler) -> list[str]:
        for _ in range(3):
            scheduler.tick()
        return scheduler.sent

    def test_a_restored_database_is_compared_with_the_targets_as_soon_as_a_beat_ticks(
        self, schedulers
    ):
        assert self.ticked(schedulers[0]) == ["look"]

    def test_the_beat_that_takes_over_looks_too_and_one_that_waits_does_not(
        self, schedulers, superuser
    ):
        first, second = schedulers
        assert self.ticked(first) == ["look"]
        assert self.ticked(second) == []
        cut(superuser, first.lock)
        assert self.ticked(second) == ["look"]
        assert self.ticked(first) == ["look"]
        second.close()
        assert self.ticked(first) == ["look", "look"]

    def test_the_products_own_is_in_its_schedule(self):
        assert beat.LockedScheduler.at_once <= settings.CELERY_BEAT_SCHEDULE.keys()


class TestLockedScheduler:
    def test_two_beats_send_as_one(self, schedulers):
        first, second = schedulers
        for _ in range(5):
            first.tick()
            assert second.tick() == 1.0
        assert first.sent == ["sweep"] * 5
        assert second.sent == []

    def test_a_waiting_beat_goes_on_when_the_other_closes(self, schedulers):
        first, second = schedulers
        first.tick()
        second.tick()
        first.close()
        second.tick()
        assert (first.sent, second.sent) == (["sweep"], ["sweep"])

    def test_sends_nothing_after_losing_its_connection(self, schedulers, superuser):
        first, second = schedulers
        first.tick()
        cut(superuser, first.lock)
        second.tick()
        first.tick()
        assert (first.sent, second.sent) == (["sweep"], ["sweep"])

    def test_never_pauses_so_long_that_the_server_thinks_it_silent(self, schedulers):
        assert schedulers[0].max_interval == 1.0

    def test_is_the_one_that_the_settings_name(self, settings):
        from celery.utils.imports import symbol_by_name

        assert symbol_by_name(settings.CELERY_BEAT_SCHEDULER) is beat.LockedScheduler
