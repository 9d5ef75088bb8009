"""psql through the gateway, as people type it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest

from jit.ops.embedded.postgres import wheel_binaries
from tests.sessions.gateways.postgresql.ground import Ground, running, until

PSQL = Path("/usr/lib/postgresql/15/bin/psql")
PSQL_WITHOUT_TLS = wheel_binaries() / "psql"
"""Of PostgreSQL 18; its makers left TLS out."""
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


def run(
    dsn: str, script: str, *options: str, psql: Path = PSQL
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [psql, "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", *options, dsn],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=ENVIRONMENT,
    )


class TestPsql:
    def test_runs_a_script_with_an_error_in_it(self, ground: Ground) -> None:
        done = run(
            ground.dsn(),
            "SELECT 40 + 2;\nINSERT INTO things VALUES (1, 'one') RETURNING name;\nSELECT 1/0;\n"
            "\\d things\n",
        )
        assert done.stdout.startswith("42\none\n")
        assert "id|integer" in done.stdout
        assert "division by zero" in done.stderr
        texts = ground.recording.texts
        assert texts[:3] == [
            "SELECT 40 + 2",
            "INSERT INTO things VALUES (1, 'one') RETURNING name",
            "SELECT 1/0",
        ]
        assert any("pg_catalog.pg_class" in text for text in texts[3:])
        assert ground.closed() == "logout"

    def test_copies_both_ways(self, ground: Ground, tmp_path: Path) -> None:
        file = tmp_path / "things"
        file.write_text("".join(f"{number}\tthing\n" for number in range(2_000)))
        done = run(
            ground.dsn(),
            f"\\copy things FROM '{file}'\n\\copy things TO '{file}.out'\n"
            "COPY (SELECT 7) TO STDOUT;\n",
        )
        assert (done.stdout, done.stderr) == ("7\n", "")
        assert Path(f"{file}.out").read_text() == file.read_text()
        assert [fact["copy"] for fact in ground.recording.statements] == ["in", "out", "out"]
        assert [fact["rows"] for fact in ground.recording.statements] == [2_000, 2_000, 1]

    def test_many_statements_in_one_message(self, ground: Ground) -> None:
        done = run(ground.dsn(), "", "--command", "SELECT 1; SELECT 2; SELECT 3")
        assert done.stdout.split() == ["1", "2", "3"]
        assert ground.recording.texts == ["SELECT 1", "SELECT 2", "SELECT 3"]

    def test_is_asked_nothing_about_the_database_of_its_own_name(self, ground: Ground) -> None:
        dsn = ground.dsn().replace("dbname=shop ", "")
        assert run(dsn, "SELECT current_database();").stdout == "shop\n"

    def test_ctrl_c_cancels(self, ground: Ground) -> None:
        with subprocess.Popen(
            [PSQL, "--no-psqlrc", ground.dsn(), "--command", "SELECT pg_sleep(60)"],
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        ) as client:
            assert until(lambda: ground.broker.visits and b"pg_sleep" in ground.recording.shown)
            client.send_signal(signal.SIGINT)
            _, said = client.communicate(timeout=10)
        assert "canceling statement due to user request" in said
        assert {"kind": "cancel"} in ground.recording.facts

    def test_a_killed_one_leaves_no_backend(self, ground: Ground) -> None:
        with subprocess.Popen(
            [PSQL, "--no-psqlrc", ground.dsn(), "--command", "SELECT pg_sleep(60)"],
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
        ) as client:
            assert until(lambda: ground.broker.visits and b"pg_sleep" in ground.recording.shown)
            assert ground.backends() == 1
            client.kill()
        assert until(lambda: ground.backends() == 0, seconds=3)
        assert ground.closed() == "lost"


class TestTls:
    def test_the_channel_is_bound(self, ground: Ground) -> None:
        assert run(ground.dsn(channel_binding="require"), "SELECT 1;").stdout == "1\n"

    def test_may_come_first(self, ground: Ground) -> None:
        with ground.connect(sslnegotiation="direct", sslmode="verify-full") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_gssapi_is_declined(self, ground: Ground) -> None:
        assert run(ground.dsn(gssencmode="prefer"), "SELECT 1;").stdout == "1\n"

    @pytest.mark.parametrize("psql", [PSQL, PSQL_WITHOUT_TLS])
    def test_without_it_nobody_gets_in(self, ground: Ground, psql: Path) -> None:
        dsn = ground.dsn(sslmode="disable", sslrootcert="")
        done = run(dsn, "SELECT 1;", psql=psql)
        assert done.returncode
        assert "TLS only" in done.stderr
        assert ground.broker.attempts == []

    def test_may_be_left_out_on_loopback_where_the_operator_says_so(self, tmp_path: Path) -> None:
        with running("18", tmp_path, plaintext_on_loopback=True) as ground:
            dsn = ground.dsn(sslmode="disable", sslrootcert="")
            done = run(dsn, "SELECT 1;", psql=PSQL_WITHOUT_TLS)
        assert (done.stdout, done.stderr) == ("1\n", "")


class TestProtocol:
    @pytest.mark.parametrize("version", ["3.0", "3.2"])
    def test_speaks_the_version_that_is_asked_for(self, ground: Ground, version: str) -> None:
        dsn = {"min_protocol_version": version, "max_protocol_version": version}
        with ground.connect(**dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert connection.pgconn.full_protocol_version == int(version.replace(".", "000"))
            timer = threading.Timer(0.2, connection.cancel_safe)
            timer.start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(20)")
            timer.join()

    def test_a_version_of_the_future_gets_the_newest(self, ground: Ground) -> None:
        with ground.connect(max_protocol_version="latest") as connection:
            assert connection.pgconn.full_protocol_version == 30002
