"""PgBouncer between people and a target: a real one, which asks the target who may log in."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jit.ops.embedded import ground
from tests.contracts.ground import until
from tests.support import folders, servers

ASKS_FOR_THE_DEADLINE = (
    "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END"
    " FROM pg_authid WHERE rolname = $1 AND rolcanlogin"
)
"""What PgBouncer asks by itself since 1.24.1; distributions brought it to older versions, too."""
ASKS_FOR_THE_PASSWORD = "SELECT usename, passwd FROM pg_shadow WHERE usename = $1"
"""What it asked before, and what many configurations still say."""
PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass(frozen=True)
class Pooler:
    host: str
    port: int
    folder: Path

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def before(
    target: servers.Target, *, mode: str, auth_query: str = ASKS_FOR_THE_DEADLINE
) -> Iterator[Pooler]:
    """Run a pooler in `session` or `transaction` mode. It asks anew each second whether the target
    lets a role in, and lets nobody wait for longer than five.
    """
    if not PROGRAM:
        raise RuntimeError("there is no pgbouncer: apt-get install pgbouncer")
    pooler = Pooler("127.0.0.1", ground.free_port(), folders.passing("pgbouncer"))
    (pooler.folder / "users").write_text(f'"{target.user}" "{target.password}"\n')
    (pooler.folder / "ini").write_text(
        f"[databases]\n* = host={target.host} port={target.port} auth_user={target.user}\n"
        f"[pgbouncer]\nlisten_addr = {pooler.host}\nlisten_port = {pooler.port}\n"
        f"unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {pooler.folder}/users\n"
        f"auth_query = {auth_query}\n"
        f"pool_mode = {mode}\nlogfile = {pooler.folder}/log\n"
        "ignore_startup_parameters = extra_float_digits,options\n"
        "server_login_retry = 1\nquery_wait_timeout = 5\n"
    )
    runner = ground.account()
    if runner:
        for path in (pooler.folder, *pooler.folder.iterdir()):
            os.chown(path, runner.uid, runner.gid)
    process = subprocess.Popen(
        # It ends with whoever runs the test, even by `kill -9`.
        ["setpriv", "--pdeathsig", "TERM", PROGRAM, "-q", pooler.folder / "ini"],
        stderr=subprocess.DEVNULL,
        user=runner.uid if runner else None,
        group=runner.gid if runner else None,
        extra_groups=[] if runner else None,
    )
    try:
        assert until(lambda: process.poll() is not None or _answers(pooler), seconds=20)
        assert process.poll() is None, pooler.log()
        yield pooler
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(pooler.folder, ignore_errors=True)


def _answers(pooler: Pooler) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection((pooler.host, pooler.port), timeout=1),
    ):
        return True
    return False
