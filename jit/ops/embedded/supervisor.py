"""`make run`: start the whole product on this machine, keep it running, stop all of it.

PostgreSQL, Valkey, a second PostgreSQL as the demo's target, web, workers and beat are children of
this one process. For trying out and development; production runs the same programs under the
operator's own supervisor.
"""

from __future__ import annotations

import http
import http.client
import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType

from jit.ops.embedded import ground
from jit.ops.embedded.children import Child, DidNotStart
from jit.ops.embedded.demo_slack import DemoSlack, wanted
from jit.ops.embedded.installation import ROOT, AlreadyRunning, Installation, Place
from jit.ops.embedded.postgres import CommandFailed
from jit.ops.embedded.watch import Runs, Watched
from jit.ops.embedded.welcome import welcome

_LOOK_EVERY = 0.25
_HIGHEST_PORT = 65535


class Stopped(Exception):
    """Somebody asked the supervisor to stop, by Ctrl-C or a signal."""


class Bell:
    """Remembers that somebody asked to stop; the supervisor asks it wherever it waits.

    An exception out of the signal handler could strike between a process's start and its
    being written down, and leave the process behind.
    """

    def __init__(self) -> None:
        self.rung = False

    def listen(self) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, self._ring)

    def check(self) -> None:
        """Raise Stopped if the bell was rung."""
        if self.rung:
            raise Stopped

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        self.rung = True


class Unusable(Exception):
    """The environment can't be run with; the message says what to change."""


class Supervisor:
    """Starts, watches and stops one installation."""

    def __init__(self, installation: Installation, bell: Bell | None = None) -> None:
        self.installation = installation
        self.check = (bell or Bell()).check
        self.programs: list[Child] = []
        self.set_up: list[Child] = []

    def start(self) -> None:
        """Start everything; return when the web server answers and the demo is in place."""
        begun = time.monotonic()
        here = self.installation
        say(f"starting PostgreSQL and Valkey; data in {here.home}")
        slack = self._begin_slack()
        here.start_servers(meanwhile=self.check)
        if not here.has_migrated():
            say("making the tables")
            self._begin(here.migration()).wait_to_end(meanwhile=self.check)
            here.note_migrated()
        here.note_environment()
        for kind, (last, port) in here.gateways.moved.items():
            say(f"port {last} is taken: the {kind} gateway is at port {port} from now on")
        web, *others = programs = _programs(here)
        self.programs += programs
        web.start()  # First and almost alone: somebody waits for a page, nobody for a sweep.
        seeding = self._begin(here.command("seed_demo")) if _can_seed() else None
        self._note_processes()
        web.wait_until(lambda: answers(here.place.port), seconds=90, meanwhile=self.check)
        for program in others:
            program.start()
        self._note_processes()
        if seeding:
            seeding.wait_to_end(meanwhile=self.check)
        if slack:
            slack.child.wait_until(slack.answers, meanwhile=self.check)
            self._begin(here.command("link_demo_slack")).wait_to_end(meanwhile=self.check)
        say(f"ready after {time.monotonic() - begun:.1f} s")

    def watch(self) -> None:
        """Bring back what ends, until Stopped is raised."""
        here = self.installation
        now = time.monotonic()
        things: dict[str, Runs] = {each.name: each for each in self.programs}
        things |= {"PostgreSQL": here.database, "the target": here.target, "Valkey": here.valkey}
        things["web-1"] = here.host
        logs = {each.name: each.log for each in self.programs}
        watched = [
            Watched(name=name, it=it, say=say, started_at=now, log=logs.get(name))
            for name, it in things.items()
        ]
        known = [each.it.pid for each in watched]
        while True:
            time.sleep(_LOOK_EVERY)
            self.check()
            for each in watched:
                each.look(time.monotonic())
            if known != (seen := [each.it.pid for each in watched]):
                known = seen
                self._note_processes()

    def stop(self) -> None:
        """Stop the programs, then the servers they use; nothing of ours is left afterwards."""
        leaving = [*self.set_up, *self.programs]
        for child in leaving:
            child.ask_to_stop()
        for child in leaving:
            child.stop(seconds=8)
        self.installation.stop_servers()

    def _begin_slack(self) -> DemoSlack | None:
        """Start the demo Slack, if it is wanted, before the programs that are told of it."""
        if not wanted():
            return None
        slack = DemoSlack(self.installation)
        self.installation.more = slack.environment
        self.programs.append(slack.start())
        return slack

    def _begin(self, command: Child) -> Child:
        self.set_up.append(command)
        command.start()
        return command

    def _note_processes(self) -> None:
        pids = {each.name: each.pid for each in self.programs}
        here = self.installation
        here.note_processes(pids | {"Valkey": here.valkey.pid, "web-1": here.host.pid})


def _programs(here: Installation) -> list[Child]:
    """Return web, a worker for each queue, beat and gateway, not yet started; web is the first."""
    doors = here.gateways.kinds
    programs = Path(sys.executable).parent
    celery = [str(programs / "celery"), "-A", "jit.celery", "--quiet"]
    web = [str(programs / "uvicorn"), "jit.asgi:application", "--host", "127.0.0.1"]
    web += ["--port", str(here.place.port), "--lifespan", "off", "--no-access-log"]
    # Who is behind a proxy is read in one place, jit.ops.proxies, whatever the server.
    web += ["--no-proxy-headers", "--no-server-header", "--timeout-graceful-shutdown", "3"]
    worker = [*celery, "worker", "--pool", "threads", "--concurrency", "8"]
    worker += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--hostname"]
    return [
        here.program("web", web),
        here.program("worker", [*worker, "worker@embedded", "--queues", "jit"]),
        here.program("background", [*worker, "background@embedded", "--queues", "jit-background"]),
        here.program("beat", [*celery, "beat"]),
        here.program("gateway", [sys.executable, str(ROOT / "manage.py"), "run_gateway", *doors]),
    ]


def _can_seed() -> bool:
    return (ROOT / "jit/ops/management/commands/seed_demo.py").exists()


def answers(port: int) -> bool:
    """Return whether the web server on loopback says that it lives."""
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        asking.request("GET", "/livez")
        return asking.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()


def place_of(environment: dict[str, str]) -> Place:
    """Return where to run, from JIT_DATA and JIT_PORT; raises Unusable."""
    written = environment.get("JIT_PORT", "8000")
    if not written.isdecimal() or not 0 < int(written) <= _HIGHEST_PORT:
        raise Unusable(f"JIT_PORT must be a port from 1 to {_HIGHEST_PORT}, not {written!r}")
    data = Path(environment.get("JIT_DATA") or ".data")
    return Place(data.expanduser().absolute(), int(written))


def refuse_taken(port: int) -> None:
    """Raise Unusable if something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            raise Unusable(
                f"port {port} can't be used ({taken.strerror}). Choose another, for example: "
                f"JIT_PORT={ground.free_port()} make run"
            ) from taken


def say(line: str) -> None:
    sys.stdout.write(f"jit: {line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run until stopped; return the exit code."""
    os.umask(0o077)
    try:
        place = place_of(dict(os.environ))
        here = Installation(place)
        for name in here.stop_leftovers():
            say(f"stopped {name}, left behind by a start that was killed")
        refuse_taken(place.port)
    except (Unusable, AlreadyRunning, ground.NoGround, OSError) as problem:
        sys.stderr.write(f"jit: {problem}\n")
        return 1
    bell = Bell()
    bell.listen()
    supervisor = Supervisor(here, bell)
    code = 1
    try:
        supervisor.start()
        elsewhere = None if here.home == place.data else here.home
        sys.stdout.write(welcome(place, slack=wanted(), host=here.host.who(), databases=elsewhere))
        sys.stdout.flush()
        supervisor.watch()
    except Stopped:
        code = 0
    except (DidNotStart, CommandFailed, ground.NoGround) as problem:
        sys.stderr.write(f"jit: {problem}\n\njit: the logs are in {here.logs}\n")
    finally:
        say("stopping")
        supervisor.stop()
        say("stopped")
    return code


if __name__ == "__main__":
    sys.exit(main())
