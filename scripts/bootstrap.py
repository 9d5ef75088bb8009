"""From a fresh clone to a running installation or a test run, with nothing but some Python.

Any Python >= 3.8 starts this file. It finds Python >= 3.12, makes `.venv`, installs what the
command needs (pinned and hashed), fetches the browser's files, and hands over. Stamps remember
what is in place, so the second start does none of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import assets
import pythons
import stamps
import system

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
RUN = ("base", "embedded")
DEVELOP = ("base", "embedded", "dev")

NOWHERE = "%s://nobody:none@127.0.0.1:9/0"
"""Where the discard port is, no server of ours listens."""

HELP = """\
usage: python3 scripts/bootstrap.py COMMAND

  run         set up what is missing, then start the embedded installation
  test        set up what is missing, then run every test but the chaos ones
  unit        set up what is missing, then run the tests that need no server
  check       set up what is missing, then run every linter and checker
  bench       set up what is missing, then print the table of measurements
  chaos       set up what is missing, then run the tests that kill processes
  api-fuzz    set up what is missing, then let an outside tester call the REST interface
  setup       only set up, for development
"""


class Failed(Exception):
    """Set-up can't go on; the message says why and what to do."""


def say(text: str) -> None:
    """Print one line about the set-up, at once."""
    print("jit: " + text, flush=True)


def requirements(name: str) -> str:
    return os.path.join(ROOT, "requirements", name + ".txt")


def make_venv() -> None:
    """Make `.venv` with a Python that is new enough, unless one is there that works."""
    if pythons.version_of(PYTHON) is not None:
        return
    found = pythons.find(say)
    say("making .venv with %s" % found)
    done = subprocess.run([found, "-m", "venv", "--clear", VENV], check=False)
    if done.returncode:
        raise Failed("could not make .venv: on Debian or Ubuntu, apt-get install python3-venv")


def install(names: tuple[str, ...], python: str = PYTHON) -> None:
    """Install the hashed requirements `names` for `python`, by uv, or by pip if uv can't."""
    files = [requirements(name) for name in names]
    stamp = stamps.Stamp(VENV, "-".join(names), [requirements("bootstrap"), *files])
    if stamp.is_current():
        return
    started = time.monotonic()
    say("installing " + ", ".join(names))
    arguments = ["--require-hashes"]
    for file in files:
        arguments += ["-r", file]
    if not (_has_uv() and _uv(arguments, python)):
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run(pip + arguments, check=False).returncode:
            raise Failed(
                "the packages could not be installed (see above): is the package index reachable?"
            )
    _drop_strays()
    stamp.set()
    say("installed in %.0f s" % (time.monotonic() - started))


def _has_uv() -> bool:
    """Put uv into `.venv`; it is never taken from PATH, where a pyenv shim may lie in wait."""
    stamp = stamps.Stamp(VENV, "bootstrap", [requirements("bootstrap")])
    if stamp.is_current():
        return True
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--require-hashes", "-r", requirements("bootstrap")]
    if subprocess.run(pip, check=False).returncode:
        say("uv could not be installed; going on with pip, which takes longer")
        return False
    stamp.set()
    return True


def _uv(arguments: list[str], python: str) -> bool:
    command = [os.path.join(VENV, "bin", "uv"), "pip", "install", "--quiet", "--python", python]
    if subprocess.run(command + arguments, check=False).returncode == 0:
        return True
    say("uv could not install them; going on with pip, which takes longer")
    return False


def _drop_strays() -> None:
    """Remove what the wheel of cel-expr-python leaves beside its package: its build's scraps."""
    import glob  # noqa: PLC0415 -- once per installation
    import shutil  # noqa: PLC0415 -- once per installation

    for site in glob.glob(os.path.join(VENV, "lib", "python3*", "site-packages")):
        for stray in ("bazel-project", "node_modules"):
            shutil.rmtree(os.path.join(site, stray), ignore_errors=True)


def make_fuzz_venv() -> None:
    """Make `.venv/fuzz`, where the outside tester lives apart from the product's packages."""
    folder = os.path.join(VENV, "fuzz")
    python = os.path.join(folder, "bin", "python")
    if pythons.version_of(python) is None:
        if subprocess.run([PYTHON, "-m", "venv", "--clear", folder], check=False).returncode:
            raise Failed("could not make .venv/fuzz")
        with contextlib.suppress(OSError):
            os.remove(stamps.Stamp(VENV, "fuzz", []).path)
    install(("fuzz",), python)


def set_up(names: tuple[str, ...], *, develop: bool) -> None:
    """Do all that is missing; one start at a time, the others wait for it."""
    lock = os.open(os.path.join(ROOT, "requirements"), os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_venv()
        fetching = assets.Fetch(ROOT, PYTHON, develop=develop, say=say)
        problems: list[assets.Failed] = []

        def fetch() -> None:
            try:
                fetching.run()
            except assets.Failed as problem:
                problems.append(problem)

        beside = None
        if fetching.npm():  # npm is there: fetch while the packages are installed.
            beside = threading.Thread(target=fetch)
            beside.start()
        install(names)
        if beside:
            beside.join()
        else:
            fetch()
        if problems:
            raise Failed(str(problems[0]))
        if not develop and os.environ.get("JIT_DEMO_SLACK", "") not in ("", "0"):
            fetching.standins()
    finally:
        os.close(lock)


def call(*argv: str) -> int:
    """Run a command of ours from the repository's root; return its exit code."""
    print(_prompt(argv))
    sys.stdout.flush()
    return subprocess.run(list(argv), cwd=ROOT, check=False, env=environment()).returncode


def call_quietly(*argv: str) -> int:
    """Run a command as `call` does; print it and what it said at its end, in one piece."""
    done = subprocess.run(
        list(argv),
        cwd=ROOT,
        check=False,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    sys.stdout.write(f"{_prompt(argv)}\n{done.stdout}")
    sys.stdout.flush()
    return done.returncode


def _prompt(argv: tuple[str, ...]) -> str:
    return "$ " + " ".join(os.path.relpath(a, ROOT) if os.path.isabs(a) else a for a in argv)


def environment() -> dict[str, str]:
    """Return the environment with `.venv` first, as if it were activated."""
    env = dict(os.environ)
    env["VIRTUAL_ENV"] = VENV
    env["PATH"] = os.path.join(VENV, "bin") + os.pathsep + env.get("PATH", os.defpath)
    env.pop("PYTHONHOME", None)
    # Dozens of processes start from the same code: without a cache each compiles all of it anew.
    if env.pop("PYTHONDONTWRITEBYTECODE", ""):
        env.setdefault("PYTHONPYCACHEPREFIX", os.path.join(VENV, "bytecode"))
    return env


def hand_over(*argv: str) -> None:
    """Become the command: signals go to it, and its exit code is ours."""
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execve(PYTHON, [PYTHON, *argv], environment())


def test(extra: list[str]) -> int:
    """Run the tests: those asked for, or all, shared by one process more than there are cores,
    since each waits now and then.
    """
    system.need(["chromium", *system.FOR_TESTS], say)
    pytest = [PYTHON, "-m", "pytest", "-m", "not chaos"]
    if extra:
        return call(*pytest, *extra)
    os.environ.setdefault("JIT_TEST_WHOLE", "say")
    shared = ["-n", str(min((os.cpu_count() or 2) + 1, 5)), "--dist", "loadscope"]
    return call(*pytest, *shared, "--no-loadscope-reorder")


def unit(extra: list[str]) -> int:
    """Run the tests that need no server, which are in tests/unit.txt: none is started, and where
    one is looked for there is none.
    """
    with open(os.path.join(ROOT, "tests", "unit.txt"), encoding="utf-8") as listed:
        files = listed.read().split()
    nowhere = {"database": NOWHERE % "postgres", "superuser": NOWHERE % "postgres"}
    os.environ["JIT_TEST_SERVERS"] = json.dumps({**nowhere, "redis": NOWHERE % "redis"})
    shared = ["-n", str(min(os.cpu_count() or 2, 4)), "--dist", "worksteal"]
    return call(PYTHON, "-m", "pytest", "-q", *shared, *files, *extra)


def check(_extra: list[str]) -> int:
    """Run every gate, all of them even if one fails, and say which did: two at a time, since
    the types take as long as all else.
    """
    commands = (
        ("mypy",),
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("lint-imports",),
        ("djlint", "templates", "--lint", "--quiet"),
        (PYTHON, "manage.py", "makemigrations", "--check", "--settings=tests.settings"),
    )
    with ThreadPoolExecutor(2) as pool:
        started = [pool.submit(call_quietly, *_in_venv(command)) for command in commands]
    failed = [" ".join(commands[n]) for n, done in enumerate(started) if done.result()]
    if failed:
        print("\nfailed: " + "; ".join(os.path.basename(command) for command in failed))
    return 1 if failed else 0


def _in_venv(command: tuple[str, ...]) -> tuple[str, ...]:
    program = command[0]
    return (program if os.path.isabs(program) else os.path.join(VENV, "bin", program), *command[1:])


ENDING = {"unit": unit, "test": test, "check": check}
"""The commands that are done by calls, each of which may fail."""


def main(argv: list[str]) -> int:
    if not argv or argv[0] not in {
        "run",
        "test",
        "unit",
        "check",
        "bench",
        "chaos",
        "api-fuzz",
        "setup",
    }:
        print(HELP)
        return 0 if argv in ([], ["help"], ["-h"], ["--help"]) else 2
    command, extra = argv[0], argv[1:]
    try:
        only_run = command in ("run", "api-fuzz")
        set_up(RUN if only_run else DEVELOP, develop=not only_run)
        if command == "run":
            hand_over("-m", "jit.ops.embedded.supervisor", *extra)
        if command == "bench":
            system.need(system.FOR_TESTS, say)
            hand_over("-m", "bench", *extra)
        if command == "chaos":
            hand_over("-m", "pytest", "-m", "chaos", *extra)
        if command == "api-fuzz":
            make_fuzz_venv()
            hand_over(os.path.join("scripts", "api_fuzz.py"), *extra)
        if command in ENDING:
            return ENDING[command](extra)
    except (Failed, assets.Failed, pythons.NotFound, system.Missing) as problem:
        print("\n%s\n" % problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
