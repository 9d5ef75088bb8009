"""`make run`: starts what is missing, brings back what dies, leaves nothing behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jit.ops.embedded import ground, supervisor
from jit.ops.embedded.children import Child, DidNotStart, identity
from jit.ops.embedded.installation import AlreadyRunning, Installation, Place
from jit.ops.embedded.postgres import Cluster
from jit.ops.embedded.reset import main as reset
from tests.support.servers import ROOT

WEB = """
import http.server, sys
class Yes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"yes")
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Yes).serve_forever()
"""
IDLE = "import signal; signal.sigwait({signal.SIGTERM})"


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path / "data", ground.free_port())


@pytest.fixture
def installation(place) -> Iterator[Installation]:
    made = Installation(place)
    yield made
    made.stop_servers()
    os.close(made._lock)
    if made.home != place.data:
        shutil.rmtree(made.home)
        shutil.rmtree(made.home.with_name(f"{made.home.name}-host"), ignore_errors=True)


@pytest.fixture
def supervised(installation, monkeypatch) -> Iterator[supervisor.Supervisor]:
    """A supervisor of real servers and of three small programs in place of Django's."""
    monkeypatch.setattr(Installation, "has_migrated", lambda _self: True)
    monkeypatch.setattr(supervisor, "_can_seed", lambda: False)
    monkeypatch.setattr(
        supervisor,
        "_programs",
        lambda here: [
            here.program("web", [sys.executable, "-c", WEB, str(here.place.port)]),
            here.program("worker", [sys.executable, "-c", IDLE]),
            here.program("beat", [sys.executable, "-c", IDLE]),
        ],
    )
    made = supervisor.Supervisor(installation)
    yield made
    made.stop()


def watch_until(
    supervised: supervisor.Supervisor,
    condition: Callable[[], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Let the supervisor watch until the condition holds; fail after 30 s."""
    until = time.monotonic() + 30
    pause = time.sleep

    def look(_seconds: float) -> None:
        if condition():
            raise supervisor.Stopped
        assert time.monotonic() < until
        pause(0.02)

    with monkeypatch.context() as patch, contextlib.suppress(supervisor.Stopped):
        patch.setattr(supervisor.time, "sleep", look)
        supervised.watch()


def everything(supervised: supervisor.Supervisor) -> dict[str, int]:
    here = supervised.installation
    things = [*supervised.programs, here.database, here.target, here.valkey]
    return {str(index): thing.pid for index, thing in enumerate(things) if thing.pid}


class TestSupervisor:
    def test_starts_all_and_leaves_nothing(self, supervised, place):
        supervised.start()
        assert supervisor.answers(place.port)
        pids = everything(supervised)
        assert len(pids) == 6
        supervised.stop()
        assert [identity(pid) for pid in pids.values()] == [None] * 6
        assert not supervisor.answers(place.port)

    def test_brings_back_a_program_that_was_killed(self, supervised, place, monkeypatch, capsys):
        supervised.start()
        web = supervised.programs[0]
        killed = web.pid
        os.kill(killed, signal.SIGKILL)
        watch_until(supervised, lambda: supervisor.answers(place.port), monkeypatch)
        assert web.pid != killed
        assert "web ended; starting it again in 0.5 s" in capsys.readouterr().out
        noted = json.loads((place.data / "processes.json").read_text())
        assert noted["web"] == [web.pid, identity(web.pid)]

    def test_brings_back_servers_on_the_ports_that_their_clients_know(
        self, supervised, monkeypatch
    ):
        supervised.start()
        here = supervised.installation
        before = [(server.pid, server.port) for server in (here.database, here.valkey)]
        for pid, _ in before:
            os.kill(pid, signal.SIGKILL)

        def both_new() -> bool:
            servers = (here.database, here.valkey)
            return all(server.running() for server in servers) and not (
                {pid for pid, _ in before} & {server.pid for server in servers}
            )

        watch_until(supervised, both_new, monkeypatch)
        assert [port for _, port in before] == [here.database.port, here.valkey.port]
        assert here.database.sql("SELECT 1", database="jit") == "1"

    def test_leaves_nothing_when_stopped_while_servers_start(
        self, installation, supervised, monkeypatch
    ):
        """A signal during the start left both clusters running: nobody knew of them yet."""
        bell = supervisor.Bell()
        supervised.check = bell.check
        create = Cluster.create

        def rung(cluster: Cluster) -> bool:
            bell._ring(signal.SIGTERM, None)
            return create(cluster)

        monkeypatch.setattr(Cluster, "create", rung)
        with pytest.raises(supervisor.Stopped):
            supervised.start()
        supervised.stop()
        assert not installation.database.running()
        assert not installation.target.running()
        for cluster in (installation.database, installation.target):
            assert not (cluster.folder / "postmaster.pid").exists()

    def test_says_the_last_words_of_a_program_that_does_not_start(self, supervised, monkeypatch):
        bad = [sys.executable, "-c", "raise SystemExit('no such module: jit.nonsense')"]
        monkeypatch.setattr(supervisor, "_programs", lambda here: [here.program("web", bad)])
        with pytest.raises(DidNotStart, match=r"no such module: jit\.nonsense"):
            supervised.start()


class TestInstallation:
    def test_is_refused_while_another_supervisor_has_the_data(self, installation, place):
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}, {place.url}"):
            Installation(place)

    def test_keeps_its_data_between_starts(self, installation):
        installation.start_servers()
        installation.database.sql("CREATE TABLE kept ()", database="jit")
        installation.stop_servers()
        installation.start_servers()
        assert installation.database.sql("TABLE kept", database="jit") == ""

    def test_lets_the_application_own_nothing(self, installation):
        installation.start_servers()
        owner = installation.database.url(
            user="jit_owner", password=installation.keys.password("jit_owner"), database="jit"
        )
        app = owner.replace("jit_owner", "jit_app").replace(
            installation.keys.password("jit_owner"), installation.keys.password("jit_app")
        )
        import psycopg

        with psycopg.connect(owner) as connection:
            connection.execute("CREATE TABLE a_row (n int)")
        with psycopg.connect(app, autocommit=True) as connection:
            connection.execute("INSERT INTO a_row VALUES (1)")
            for denied in ("CREATE TABLE mine ()", "TRUNCATE a_row", "DROP TABLE a_row"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(denied)

    def test_hides_its_environment_from_settings_of_the_shell(self, installation, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "postgresql://production/jit")
        monkeypatch.setenv("JIT_SEALING_KEY", "production's")
        monkeypatch.setenv("PGHOST", "production")
        monkeypatch.setenv("JIT_JIRA_URL", "https://jira.example")
        env = installation.environment("web")
        assert "production" not in " ".join(env.values())
        assert env["JIT_JIRA_URL"] == "https://jira.example"

    def test_stops_what_a_killed_supervisor_left(self, installation, place):
        left = Child(
            name="worker", argv=[sys.executable, "-c", IDLE], log=place.data / "logs" / "worker.log"
        )
        left.start()
        try:
            installation.note_processes({"worker": left.pid})
            reaper = _reap(left)
            assert installation.stop_leftovers() == ["worker"]
            reaper.wait(5)
        finally:
            left.stop()

    def test_stops_nobody_who_only_got_the_number_of_an_old_process(self, installation, place):
        noted = {"worker": (os.getpid(), "another start time")}
        (place.data / "processes.json").write_text(json.dumps(noted))
        assert installation.stop_leftovers() == []

    def test_starts_anew_if_its_data_folder_was_deleted(self, place, monkeypatch, tmp_path):
        """As root the clusters live elsewhere, and without the deleted keys nothing opens them."""
        me = ground.Account("me", os.geteuid(), os.getegid())
        monkeypatch.setattr(ground, "account", lambda: me)
        monkeypatch.setattr(ground, "_root_folder", lambda _runner: tmp_path)
        first = Installation(place)
        (first.home / "postgres").mkdir()
        os.close(first._lock)
        shutil.rmtree(place.data)
        again = Installation(place)
        os.close(again._lock)
        assert not (again.home / "postgres").exists()
        assert (again.home.with_name(f"{again.home.name}.old") / "postgres").exists()


def _reap(child: Child):
    """Wait for the child in a thread, as init would for an orphan; return when that is done."""
    import threading

    done = threading.Event()

    def wait() -> None:
        assert child.process
        child.process.wait()
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    return done


class TestReset:
    def test_deletes_what_is_ours_and_nothing_else(self, place, monkeypatch, capsys):
        made = Installation(place)
        os.close(made._lock)
        (place.data / "a-file-of-somebody").write_text("kept")
        monkeypatch.setenv("JIT_DATA", str(place.data))
        assert reset() == 0
        assert [file.name for file in place.data.iterdir()] == ["a-file-of-somebody"]

    def test_stops_what_a_killed_start_left_running_before_it_deletes(
        self, supervised, installation, place, monkeypatch, capsys
    ):
        supervised.start()
        pids = everything(supervised)
        os.close(installation._lock)  # The supervisor is killed: its lock is free.
        installation._lock = os.open("/dev/null", os.O_RDONLY)
        monkeypatch.setenv("JIT_DATA", str(place.data))
        assert reset() == 0
        assert [identity(pid) for pid in pids.values()] == [None] * len(pids)
        said = capsys.readouterr().out
        assert "stopped web" in said
        assert "stopped PostgreSQL (postgres)" in said
        assert not place.data.exists()
        assert not (installation.home / "postgres").exists()
        installation.home.mkdir(exist_ok=True)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root's databases lie elsewhere")
    def test_deletes_databases_whose_data_folder_somebody_deleted(self, place, monkeypatch, capsys):
        made = Installation(place)
        os.close(made._lock)
        shutil.rmtree(place.data)
        monkeypatch.setenv("JIT_DATA", str(place.data))
        assert reset() == 0
        assert str(made.home) in capsys.readouterr().out
        assert not made.home.exists()
        assert reset() == 0
        assert "there is no embedded installation" in capsys.readouterr().out
        assert not made.home.exists()

    def test_refuses_while_the_installation_runs(self, installation, place, monkeypatch, capsys):
        monkeypatch.setenv("JIT_DATA", str(place.data))
        assert reset() == 1
        assert "already runs" in capsys.readouterr().err
        assert (place.data / "keys").exists()


class TestPlaceOf:
    def test_is_the_folder_data_and_port_8000_unless_told(self):
        assert supervisor.place_of({}) == Place(Path.cwd() / ".data", 8000)

    @pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "", "8000 "])
    def test_refuses_what_is_no_port(self, port):
        with pytest.raises(supervisor.Unusable, match="JIT_PORT must be a port"):
            supervisor.place_of({"JIT_PORT": port})


class TestRefuseTaken:
    def test_names_another_port_to_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(supervisor.Unusable, match=rf"port {port} .* JIT_PORT=\d+ make run"):
                supervisor.refuse_taken(port)


class Running:
    """The real supervisor as a process of its own, from nothing to the greeting."""

    def __init__(self, data: Path, port: int) -> None:
        self.data, self.port = data, port
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jit.ops.embedded.supervisor"],
            cwd=ROOT,
            env={**os.environ, "JIT_DATA": str(data), "JIT_PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until_ready(self) -> str:
        assert self.process.stdout
        said = ""
        for line in self.process.stdout:
            said += line
            if "Stop    Ctrl-C" in line:
                return said
        raise AssertionError(said)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        return self.process.returncode


def _get(port: int, path: str) -> int:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(asking):
        asking.request("GET", path)
        return asking.getresponse().status


class TestMakeRun:
    def test_from_nothing_to_the_first_page_and_again(self, place):
        """The README's first command: start, sign-in page, stop; then again, with its data."""
        try:
            for first in (True, False):
                running = Running(place.data, place.port)
                try:
                    said = running.until_ready()
                    assert "EMBEDDED mode" in said
                    assert ("making the tables" in said) is first
                    assert _get(place.port, "/livez") == 200
                    assert _get(place.port, "/sign-in/") == 200
                    assert "store is empty" in _manage(place, "secret_list")
                    noted = json.loads((place.data / "processes.json").read_text())
                finally:
                    code = running.stop()
                assert code == 0
                assert set(noted) >= {"web", "worker", "beat", "Valkey"}
                assert {identity(pid) for pid, _ in noted.values()} == {None}
        finally:
            _delete(place)


def _manage(place: Place, command: str) -> str:
    """Do as `make manage` does."""
    env = {**os.environ, "JIT_DATA": str(place.data), "DO": command}
    program = [sys.executable, "-m", "jit.ops.embedded.manage"]
    done = subprocess.run(
        program, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    return done.stdout


def _delete(place: Place) -> None:
    env = {**os.environ, "JIT_DATA": str(place.data)}
    subprocess.run([sys.executable, "-m", "jit.ops.embedded.reset"], cwd=ROOT, env=env, check=True)
