"""How sessions end that their person does not end."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import psycopg
import pytest

from sessions.gateways.postgresql.server import Limits
from tests.sessions.gateways.postgresql.ground import Ground, Visit, running, until
from tests.sessions.gateways.postgresql.raw import Raw

SAID = "Your grant ended at 10:00. Ask again if you need more time."
STUBBORN = """
DO $$ BEGIN
  LOOP
    BEGIN
      PERFORM pg_sleep(30);
    EXCEPTION WHEN query_canceled THEN
      RAISE NOTICE 'not me';
    END;
  END LOOP;
END $$
"""


def live(ground: Ground) -> Visit:
    assert until(lambda: bool(ground.broker.visits and ground.last.live))
    return ground.last


def end_soon(ground: Ground, because: str = "expired") -> threading.Thread:
    """End the present session once its statement has reached the target."""
    visit = live(ground)

    def end() -> None:
        assert until(lambda: _active(ground) > 0)
        assert visit.live
        ground.run(visit.live.end(because, SAID))

    thread = threading.Thread(target=end)
    thread.start()
    return thread


def _active(ground: Ground) -> int:
    with ground.root() as root:
        row = root.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND state = 'active'",
            [ground.role],
        ).fetchone()
    assert row
    return int(row[0])


class TestEnd:
    def test_tells_the_client_and_ends_the_running_query(self, ground: Ground) -> None:
        with ground.connect() as connection:
            thread = end_soon(ground)
            with pytest.raises(psycopg.errors.AdminShutdown) as caught:
                connection.execute("SELECT pg_sleep(60)")
            thread.join()
        assert caught.value.diag.message_primary == SAID
        assert caught.value.diag.severity == "FATAL"
        assert until(lambda: ground.backends() == 0, seconds=1)
        assert ground.closed() == "expired"
        assert {"kind": "notice", "text": SAID} in ground.recording.facts
        assert SAID.encode() in ground.recording.shown

    def test_an_idle_session_ends_too(self, ground: Ground) -> None:
        with ground.connect() as connection:
            visit = live(ground)
            assert visit.live
            ground.run(visit.live.end("revoked", SAID))
            with pytest.raises(psycopg.errors.AdminShutdown):
                connection.execute("SELECT 1")
        assert ground.backends() == 0

    def test_a_query_that_catches_the_cancel_ends_all_the_same(self, ground: Ground) -> None:
        with ground.connect() as connection:
            thread = end_soon(ground)
            began = time.monotonic()
            with pytest.raises(psycopg.errors.AdminShutdown):
                connection.execute(STUBBORN)
            thread.join()
            assert until(lambda: ground.backends() == 0, seconds=2)
            assert time.monotonic() - began < 3
        assert ground.broker.terminated

    def test_one_whose_client_does_not_read_ends_too(self, ground: Ground) -> None:
        connection = ground.connect()
        connection.pgconn.send_query(b"SELECT repeat('x', 1000) FROM generate_series(1, 1000000)")
        thread = end_soon(ground)
        thread.join()
        assert until(lambda: ground.backends() == 0, seconds=2)
        assert ground.closed() == "expired"
        connection.close()

    def test_of_many_at_once_takes_no_longer(self, ground: Ground) -> None:
        connections = [ground.connect() for _ in range(18)]
        assert until(lambda: all(visit.live for visit in ground.broker.visits))
        for connection in connections:
            connection.pgconn.send_query(b"SELECT pg_sleep(60)")
        assert until(lambda: _active(ground) == len(connections))
        began = time.monotonic()

        async def all_of_them() -> None:
            for visit in ground.broker.visits:
                assert visit.live
                await visit.live.end("revoked", SAID)

        ground.run(all_of_them())
        assert until(lambda: ground.backends() == 0, seconds=2)
        assert time.monotonic() - began < 3
        for connection in connections:
            connection.close()


class TestWarn:
    def test_reaches_the_client_between_two_messages(self, ground: Ground) -> None:
        heard: list[str | None] = []
        with ground.connect() as connection:
            connection.add_notice_handler(lambda told: heard.append(told.message_primary))
            visit = live(ground)
            assert visit.live
            ground.run(visit.live.warn("Five minutes are left."))
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert heard == ["Five minutes are left."]

    def test_never_in_the_middle_of_one(self, ground: Ground) -> None:
        heard: list[str | None] = []
        with ground.connect() as connection:
            connection.add_notice_handler(lambda told: heard.append(told.message_primary))
            visit = live(ground)
            live_session = visit.live
            assert live_session
            stop = threading.Event()

            def warn() -> None:
                while not stop.is_set():
                    ground.run(live_session.warn("Five minutes are left."))

            thread = threading.Thread(target=warn)
            thread.start()
            rows = connection.execute(
                "SELECT n, repeat('x', 1000000) FROM generate_series(1, 60) AS n"
            ).fetchall()
            stop.set()
            thread.join()
        assert [row[0] for row in rows] == list(range(1, 61))
        assert all(len(row[1]) == 1_000_000 for row in rows)
        assert heard


class TestRecording:
    def test_that_fails_ends_a_session_that_must_be_recorded(self, ground: Ground) -> None:
        with ground.connect() as connection:
            connection.execute("SELECT 1")
            ground.recording.failed = "the disk is full"
            with pytest.raises(psycopg.errors.AdminShutdown) as caught:
                connection.execute("INSERT INTO things VALUES (1, 'unseen')")
        assert "must be recorded" in str(caught.value)
        assert ground.closed() == "terminated"
        with ground.root() as root:
            assert root.execute("SELECT count(*) FROM things").fetchone() == (0,)

    def test_that_fails_leaves_a_session_that_may_go_unrecorded(self, ground: Ground) -> None:
        ground.broker.record_as = "best_effort"
        with ground.connect() as connection:
            connection.execute("SELECT 1")
            ground.recording.failed = "the disk is full"
            assert connection.execute("SELECT 2").fetchone() == (2,)

    def test_that_says_so_itself_ends_it_at_once(self, ground: Ground) -> None:
        with ground.connect() as connection:
            visit = live(ground)
            assert visit.on_failure
            ground.loop.call(visit.on_failure, "the disk is full")
            assert ground.closed() == "terminated"
            with pytest.raises(psycopg.errors.AdminShutdown):
                connection.execute("SELECT 1")

    def test_that_is_not_wanted_is_not_made(self, ground: Ground) -> None:
        ground.broker.record_as = "none"
        with ground.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert ground.last.recording is None

    def test_much_waits_for_room(self, ground: Ground) -> None:
        with ground.connect() as connection:
            for _ in range(20):
                connection.execute(f"SELECT length('{'x' * 80_000}')")
        assert ground.recording.asked_for_room > 3


class TestStrangers:
    """Nonsense at the door, and in a session, never takes the gateway down."""

    @pytest.mark.parametrize(
        "nonsense",
        [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x00\x00\x00\x00",
            b"\x00\x00\x00\x07\x00\x03\x00",
            b"\xff\xff\xff\xff\x00\x03\x00\x00",
            b"\x00\x00\x00\x10\x04\xd2\x16\x2e" + b"\0" * 8,
            b"\x00\x00\x00\x09\x00\x03\x00\x00\x00",
            b"\x00\x00\x00\x0b\x00\x03\x00\x00us\x00",
            b"\x00\x00\x00\x08\x00\x02\x00\x00",
            b"\x16\x03\x01\x00\x05nonsense",
            bytes(range(256)) * 64,
        ],
    )
    def test_are_shut_out(self, ground: Ground, nonsense: bytes) -> None:
        with Raw(ground, tls=False) as raw:
            raw.say(nonsense)
            assert raw.is_shut()
        ground.connect().close()

    @pytest.mark.parametrize(
        "nonsense",
        [
            b"\0" * 64,
            b"p\xff\xff\xff\xff",
            b"p\x00\x00\x00\x03",
            b"p\x00\x00\x00\x08SCRA",
            b"Q\x00\x00\x00\x0dSELECT 1\0",
            b"p\x00\x00\x00\x16SCRAM-SHA-256\0\xff\xff\xff\xff",
        ],
    )
    def test_are_shut_out_at_the_password(self, ground: Ground, nonsense: bytes) -> None:
        with Raw(ground) as raw:
            raw.startup({"user": "jit_writer", "database": "shop"})
            raw.until(b"R")
            raw.say(nonsense)
            assert raw.is_shut()
        ground.connect().close()

    @pytest.mark.parametrize(
        ("nonsense", "said"),
        [
            (b"Q\x00\x00\x00\x03", "broke the protocol"),
            (b"Q\xff\xff\xff\xff", "longer than"),
            (b"B\x7f\xff\xff\xffx", "longer than"),
            (b"P\x00\x00\x00\x09ab\0cd", "broke the protocol"),
            (b"B\x00\x00\x00\x08\0\0\0\x09", "broke the protocol"),
            (b"p\x00\x00\x00\x04", "broke the protocol"),
            (b"\0\0\0\0\0\0\0\0", "broke the protocol"),
        ],
    )
    def test_end_their_own_session_alone(self, ground: Ground, nonsense: bytes, said: str) -> None:
        with ground.connect() as other:
            with Raw(ground) as raw:
                raw.log_in("jit_writer", ground.broker.password_for("jit_writer"))
                raw.socket.sendall(nonsense)
                assert said.encode() in raw.until(b"E")[-1]
                assert raw.is_shut()
            assert other.execute("SELECT 1").fetchone() == (1,)
        assert until(lambda: ground.backends() == 0, seconds=3)

    def test_that_say_nothing_do_not_stay(self, tmp_path: Path) -> None:
        limits = Limits(log_in_within=0.3, strangers=5, strangers_from_one_address=4)
        with running("18", tmp_path, limits=limits) as ground:
            slow = [socket.create_connection(("127.0.0.1", ground.port)) for _ in range(4)]
            for number, each in enumerate(slow):
                each.sendall(b"\x00\x00\x00\x20\x00\x03"[: number + 1])
            assert all(each.recv(1) == b"" for each in slow)
            for each in slow:
                each.close()
            ground.connect().close()

    def test_too_many_are_turned_away(self, tmp_path: Path) -> None:
        limits = Limits(log_in_within=5, strangers_from_one_address=3)
        with running("18", tmp_path, limits=limits) as ground:
            slow = [socket.create_connection(("127.0.0.1", ground.port)) for _ in range(3)]
            with socket.create_connection(("127.0.0.1", ground.port)) as one_more:
                assert one_more.recv(1) == b""
            for each in slow:
                each.close()
            assert until(lambda: _gets_in(ground))

    def test_more_sessions_than_there_is_room_for(self, tmp_path: Path) -> None:
        with (
            running("18", tmp_path, limits=Limits(sessions=1)) as ground,
            ground.connect(),
            pytest.raises(psycopg.OperationalError, match="no room for another session"),
        ):
            ground.connect()


class TestStop:
    def test_tells_everybody_and_leaves_no_backend(self, tmp_path: Path) -> None:
        with running("18", tmp_path) as ground:
            connection = ground.connect()
            assert ground.backends() == 1
        with pytest.raises(psycopg.errors.AdminShutdown, match="is being stopped"):
            connection.execute("SELECT 1")
        assert ground.last.because == "lost"


def _gets_in(ground: Ground) -> bool:
    try:
        ground.connect().close()
    except psycopg.OperationalError:
        return False
    return True
