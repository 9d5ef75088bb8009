"""A whole installation in processes of its own, moved by lines of JSON on standard input.

It is what `make run` starts (the same servers, programs and demo), but each part can be killed and
started by the test. When standard input ends, in whatever way, everything is stopped and removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jit.ops.embedded import gateways, ground
from jit.ops.embedded.children import Child
from jit.ops.embedded.installation import Installation, Place
from jit.ops.embedded.supervisor import _programs, answers
from tests.support.wire import Wire

CRASHING = "tests.support.crashing"
ALL = "all"
BUCKET = "JIT_RECORDINGS_S3_ENDPOINT"


class Stage:
    """One installation, its programs by name, and what a test may do to them."""

    def __init__(
        self, data: Path, *, lasting: bool, extra: dict[str, str], target: dict[str, str]
    ) -> None:
        for kind in gateways.USUAL:  # Two stages must not both find the usual port free.
            (data / f"{kind}-gateway.port").write_text(str(ground.free_port()), encoding="ascii")
        self.here = Installation(Place(data, ground.free_port()))
        self.servers = {
            "database": self.here.database,
            "target": self.here.target,
            "valkey": self.here.valkey,
            "host": self.here.host,
        }
        self.here.database.lasting = self.here.target.lasting = lasting
        self.here.target.settings = {**self.here.target.settings, **target}
        self.extra = extra
        self.programs: dict[str, Child] = {}
        self.wires: dict[str, dict[str, Wire]] = {}
        """By the server that they lead to, then by the program whose they are; ALL share some."""

    def set_up(self, *, wired: bool = False) -> dict[str, Any]:
        self.here.start_servers()
        self._run(self.here.migration())
        programs = _programs(self.here)
        if wired:
            self._put_wires_between([program.name for program in programs])
        self._run(self.here.command("seed_demo"))
        for program in programs:
            self._begin(program)
        web = self.programs["web"]
        web.wait_until(lambda: answers(self.here.place.port), seconds=90)
        return {
            "environment": self._environment("setup"),
            "database": {
                "host": self.here.database.host,
                "port": self.here.database.port,
                "user": "postgres",
                "password": self.here.database.password,
                "dbname": "jit",
            },
            "superuser": {
                "host": self.here.target.host,
                "port": self.here.target.port,
                "user": "postgres",
                "password": self.here.target.password,
            },
            "demo": json.loads((self.here.place.data / "demo.json").read_text(encoding="utf-8")),
            "data": str(self.here.place.data),
        }

    def kill(self, name: str) -> dict[str, Any]:
        """End a program or server by SIGKILL (a cluster: by an immediate shutdown)."""
        if name in {"database", "target"}:
            child = self.servers[name]._child  # type: ignore[union-attr]
            assert child is not None
            child.stop_signal = signal.SIGQUIT
            child.stop()
            return {}
        it = self.programs.get(name) or self.servers[name]
        if it.running() and it.pid:
            os.kill(it.pid, signal.SIGKILL)
        it.stop()
        return {}

    def stop(self, name: str) -> dict[str, Any]:
        (self.programs.get(name) or self.servers[name]).stop()
        return {}

    def start(self, name: str) -> dict[str, Any]:
        (self.programs.get(name) or self.servers[name]).start()
        return {}

    def add(
        self, name: str, like: str, env: dict[str, str] | None = None, before: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Start another program like one that is there, by the words `before` its own; `env` is
        its own.
        """
        argv = [
            part.replace(f"{like}@embedded", f"{name}@embedded")
            for part in self.programs[like].argv
        ]
        self._begin(self.here.program(name, [*before, *argv]), env)
        return {}

    def wire(self, name: str, how: str, of: str = "") -> dict[str, Any]:
        """Let the wires to this server behave like this (tests.support.wire), or that `of` one
        program alone.
        """
        for program, wire in self.wires[name].items():
            if of in {"", program}:
                wire.become(how)
        return {}

    def running(self, name: str) -> dict[str, Any]:
        return {"running": (self.programs.get(name) or self.servers[name]).running()}

    def pid(self, name: str) -> dict[str, Any]:
        return {"pid": (self.programs.get(name) or self.servers[name]).pid}

    def tear_down(self) -> None:
        for child in self.programs.values():
            child.ask_to_stop()
        for child in self.programs.values():
            child.stop(seconds=5)
        for cluster in (self.here.database, self.here.target):
            if cluster._child is not None:
                cluster._child.stop_signal = signal.SIGQUIT
        self.here.stop_servers()
        shutil.rmtree(self.here.home, ignore_errors=True)
        shutil.rmtree(self.here.host.folder, ignore_errors=True)
        shutil.rmtree(self.here.place.data, ignore_errors=True)

    def _put_wires_between(self, programs: Sequence[str]) -> None:
        """Let each program reach database and broker by a wire of its own; and all of them the
        target and the recordings' bucket, whose one address is in the books, by one.
        """
        servers = {"database": self.here.database.port, "valkey": self.here.valkey.port}
        for name, port in servers.items():
            self.wires[name] = {each: Wire(ground.free_port(), port) for each in programs}
        shared = {"target": self.here.target.port}
        bucket = urlsplit(self.extra.get(BUCKET, ""))
        if bucket.port:
            shared["store"] = bucket.port
        for name, port in shared.items():
            self.wires[name] = {ALL: Wire(ground.free_port(), port)}
        self.extra["JIT_DEMO_TARGET_PORT"] = str(self.wires["target"][ALL].port)
        if bucket.port:
            self.extra[BUCKET] = f"http://127.0.0.1:{self.wires['store'][ALL].port}"

    def _wired(self, program: Child) -> dict[str, str]:
        """Return what leads a program to its own wires."""
        env = program.env or {}
        found = {}
        for variable, server in (("DATABASE_URL", "database"), ("REDIS_URL", "valkey")):
            wire = self.wires.get(server, {}).get(program.name)
            if wire is not None:
                found[variable] = env[variable].replace(f":{wire.to}/", f":{wire.port}/")
        return found

    def _begin(self, program: Child, env: dict[str, str] | None = None) -> None:
        usual = {**(program.env or {}), **self._wired(program)}
        program.env = {**usual, **self.extra, **(env or {})}
        self.programs[program.name] = program
        program.start()

    def _run(self, command: Child) -> None:
        command.env = {**(command.env or {}), **self.extra, "JIT_PROCESS": "setup"}
        command.run_to_end()

    def _environment(self, process: str) -> dict[str, str]:
        return {**self.here.environment(process), **self.extra}


def main(settings: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; we outlive them.
    stage = Stage(
        Path(settings["data"]),
        lasting=settings["lasting"],
        extra=settings["environment"],
        target=settings["target"],
    )
    commands: dict[str, Callable[..., dict[str, Any]]] = {
        name: getattr(stage, name)
        for name in ("kill", "stop", "start", "add", "running", "pid", "wire")
    }
    try:
        _say(stage.set_up(wired=settings["wired"]))
        for line in sys.stdin:
            order = json.loads(line)
            try:
                _say(commands[order.pop("do")](**order))
            except Exception as failure:  # noqa: BLE001 -- it is the test's to judge
                _say({"failed": f"{type(failure).__name__}: {failure}"})
    finally:
        stage.tear_down()


def _say(answer: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
