"""One embedded installation: its folder, its databases, and the environment its processes get."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from jit.ops.embedded import ground
from jit.ops.embedded.children import Child, identity, stop_by_pid
from jit.ops.embedded.demo_host import DemoHost
from jit.ops.embedded.gateways import Gateways
from jit.ops.embedded.keys import Keys
from jit.ops.embedded.postgres import Cluster
from jit.ops.embedded.valkey import Valkey

ROOT = Path(__file__).resolve().parents[3]
ROLES = ROOT / "jit" / "ops" / "sql" / "roles.sql"
ENVIRONMENT = "environment.json"
"""Where the environment of the programs that run now is noted, for `make manage`."""
_LOG_LIMIT = 5_000_000
OWN_FOLDERS = ("keys", "logs", "postgres", "demo-target", "demo-host", "spool", "recordings")
OWN_FILES = (
    "demo.json", "demo-catalogue.yaml", "installation", "lock", "processes.json",
    "demo-slack.json", "demo-slack-seed.json", "migrated", "database-made",
    "postgres.port", "demo-target.port", "demo-host.port",
    "ssh-gateway.port", "postgresql-gateway.port", ENVIRONMENT,
)  # fmt: skip


class AlreadyRunning(Exception):
    """Another supervisor works on the data folder; the message says which."""


@dataclass(frozen=True)
class Place:
    """Where the installation answers and where it keeps its things."""

    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Installation:
    """The servers and files of one data folder, for the one supervisor that holds its lock."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.logs = place.data / "logs"
        place.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        self._lock = take_lock(place)
        self._starting: set[Future[None]] = set()
        self.more: dict[str, str] = {}
        self.home = ground.home(place.data)
        self._set_aside_what_lost_its_keys()
        self.keys = Keys(place.data / "keys")
        self.gateways = Gateways(place.data, self.keys)
        self.database = self._cluster("postgres")
        self.target = self._cluster("demo-target")
        self.valkey = Valkey(
            folder=place.data, password=self.keys.password("valkey"), log=self.log("valkey")
        )
        self.host = DemoHost(data=place.data, web_port=place.port, log=self.log("demo-host"))

    def log(self, name: str) -> Path:
        """Return the log file of `name`; a big one of earlier starts is put aside."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        return path

    def start_servers(self, *, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Start both clusters, Valkey and the demo's host side by side; make the database and
        its roles once.

        `meanwhile` is called while they start; it may raise to give up waiting, and what was
        begun is then for `stop_servers` to end.
        """
        pool = ThreadPoolExecutor(4)
        tasks = (self._start_database, self.target.start, self.valkey.start, self.host.start)
        self._starting = {pool.submit(task) for task in tasks}
        pool.shutdown(wait=False)
        while wait(self._starting, timeout=0.05).not_done:
            meanwhile()
        for each in self._starting:
            each.result()

    def stop_servers(self) -> None:
        """Stop them all; a start that is under way is let finish first, or it would be missed."""
        wait(self._starting)
        servers = (self.database, self.target, self.valkey, self.host)
        for server in servers:
            server.ask_to_stop()
        for server in servers:
            server.stop()

    def environment(self, process: str) -> dict[str, str]:
        """Return the environment of one of the application's processes."""
        return mixed(self._own_environment(process))

    def note_environment(self) -> None:
        """Write it down for whoever runs management commands beside us."""
        path = self.place.data / ENVIRONMENT
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(self._own_environment("operator"), file, indent=2)

    def _own_environment(self, process: str) -> dict[str, str]:
        return {
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "jit.settings",
            "JIT_EMBEDDED": "1",
            "JIT_PROCESS": process,
            "JIT_DATA": str(self.place.data),
            "JIT_PORT": str(self.place.port),
            "JIT_BASE_URL": self.place.url,
            "JIT_SECRET_KEY_FILE": str(self.keys.django_secret()),
            "JIT_SEALING_KEY_FILE": str(self.keys.sealing_key()),
            "JIT_AUDIT_KEY_FILE": str(self.keys.audit_key()),
            "DATABASE_URL": self._url("jit_app"),
            "REDIS_URL": self.valkey.url(),
            **self.gateways.environment(),
            "JIT_DEMO_TARGET_HOST": self.target.host,
            "JIT_DEMO_TARGET_PORT": str(self.target.port),
            "JIT_DEMO_TARGET_SUPERUSER": "postgres",
            "JIT_DEMO_TARGET_PASSWORD": self.target.password,
            **self.host.environment,
            **self.more,
        }

    def has_migrated(self) -> bool:
        """Return whether the tables are as the code's migrations make them.

        The second start must be quick, so a stamp of all migration files spares it Django.
        """
        stamp = self.home / "migrated"
        return stamp.exists() and stamp.read_text(encoding="ascii") == _migrations_digest()

    def migration(self) -> Child:
        """Return the process that brings the tables up to date, as their owner."""
        command = self.command("migrate", "--database", "owner", "--no-input")
        command.env = {**(command.env or {}), "DATABASE_OWNER_URL": self._url("jit_owner")}
        return command

    def note_migrated(self) -> None:
        (self.home / "migrated").write_text(_migrations_digest(), encoding="ascii")

    def command(self, *arguments: str) -> Child:
        """Return a management command as a process that ends by itself."""
        return Child(
            name=f"manage.py {arguments[0]}",
            argv=[sys.executable, str(ROOT / "manage.py"), *arguments],
            log=self.log("setup"),
            env=self.environment("setup"),
            cwd=ROOT,
        )

    def program(self, name: str, argv: Sequence[str]) -> Child:
        """Return one of the application's lasting processes, not yet started."""
        return Child(name=name, argv=argv, log=self.log(name), env=self.environment(name), cwd=ROOT)

    def note_processes(self, pids: Mapping[str, int | None]) -> None:
        """Write down who runs, so that the next start can stop what a kill left behind."""
        known = {name: (pid, identity(pid)) for name, pid in pids.items() if pid}
        fresh = self.place.data / ".processes.json"
        fresh.write_text(json.dumps(known, indent=2), encoding="utf-8")
        fresh.replace(self.place.data / "processes.json")

    def stop_leftovers(self) -> list[str]:
        """Stop what a killed supervisor left running; return the names of what was there.

        Left-over PostgreSQL is stopped by its own pg_ctl when the cluster is started.
        """
        try:
            text = (self.place.data / "processes.json").read_text(encoding="utf-8")
            known = json.loads(text)
        except (OSError, ValueError):
            return []
        return [
            name
            for name, (pid, mark) in known.items()
            if not name.startswith("PostgreSQL") and mark and stop_by_pid(pid, mark)
        ]

    def stop_left_clusters(self) -> list[str]:
        """Stop the PostgreSQL servers that a killed supervisor left running; return the names of
        those that were there. Raises CommandFailed for one that does not stop.
        """
        clusters = (self.database, self.target)
        return [f"PostgreSQL ({each.name})" for each in clusters if each.stop_leftover()]

    def _cluster(self, name: str) -> Cluster:
        return Cluster(
            name=name, home=self.home, password=self.keys.password(name), log=self.log(name)
        )

    def _url(self, role: str) -> str:
        return self.database.url(user=role, password=self.keys.password(role), database="jit")

    def _start_database(self) -> None:
        self.database.start()
        made = self.home / "database-made"
        if made.exists():
            return
        if not self.database.sql("SELECT 1 FROM pg_database WHERE datname = 'jit'"):
            self.database.sql("CREATE DATABASE jit")
        passwords = "".join(
            f"ALTER ROLE {role} PASSWORD '{self.keys.password(role)}';"
            for role in ("jit_owner", "jit_app")
        )
        self.database.sql(ROLES.read_text(encoding="utf-8") + passwords, database="jit")
        made.touch()

    def _set_aside_what_lost_its_keys(self) -> None:
        """Start anew if the data folder was deleted but its clusters live elsewhere (for root).

        Without the folder's keys those clusters can't be opened; the last such set is kept.
        """
        ours, theirs = self.place.data / "installation", self.home / "installation"
        if self.home != self.place.data:
            known = theirs.read_text(encoding="ascii") if theirs.exists() else ""
            if known and (not ours.exists() or ours.read_text(encoding="ascii") != known):
                old = self.home.with_name(f"{self.home.name}.old")
                shutil.rmtree(old, ignore_errors=True)
                self.home.rename(old)
                self.home = ground.home(self.place.data)
        if not ours.exists():
            ours.write_text(secrets.token_hex(16), encoding="ascii")
        theirs.write_text(ours.read_text(encoding="ascii"), encoding="ascii")


def mixed(ours: Mapping[str, str]) -> dict[str, str]:
    """Return our variables among those that are inherited and leave ours alone."""
    # A secret may come as X or X_FILE, but not as both: one in the shell stands aside.
    decided = {name.removesuffix("_FILE") for name in ours}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name.removesuffix("_FILE") not in decided
        and not name.startswith(("DATABASE_", "REDIS_", "PG", "DJANGO_"))
    }
    return inherited | dict(ours)


def take_lock(place: Place) -> int:
    """Hold the data folder for as long as this process lives; raises AlreadyRunning."""
    lock = os.open(place.data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as taken:
        holder = os.read(lock, 200).decode(errors="replace").strip()
        os.close(lock)
        raise AlreadyRunning(
            f"an installation already runs on {place.data} ({holder}). Use that one, stop "
            "it, or start another with its own JIT_DATA and JIT_PORT."
        ) from taken
    os.ftruncate(lock, 0)
    os.write(lock, f"process {os.getpid()}, {place.url}".encode())
    return lock


def _migrations_digest() -> str:
    """Return a hash of every migration's content, and of the framework that brings its own."""
    seen = hashlib.sha256(importlib.metadata.version("Django").encode())
    for app in ("jit", "approvals", "sessions"):
        for file in sorted((ROOT / app).rglob("migrations/*.py")):
            seen.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return seen.hexdigest()
