"""Find a Python that is new enough, or have uv fetch one."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Callable, Iterator

OLDEST = (3, 12)
PREFERRED = ("3.13", "3.12", "3.14")
ASK = (
    "import sys, ssl, venv, ensurepip, sqlite3, ctypes;"
    "print('%d.%d' % sys.version_info[:2] if sys.implementation.name == 'cpython' else '0.0')"
)


class NotFound(Exception):
    """No Python is new enough and none could be fetched; the message says what to install."""


def version_of(python: str | None) -> tuple[int, ...] | None:
    """Return the (major, minor) of a complete CPython that is new enough, else None.

    It is asked by running it: a pyenv shim exists on PATH whether or not it works.
    """
    if not python or not os.access(python, os.X_OK):
        return None
    try:
        done = subprocess.run(
            [python, "-c", ASK],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=20,
            check=False,
        )
        version = tuple(int(part) for part in done.stdout.decode().strip().split("."))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return version if done.returncode == 0 and version >= OLDEST else None


def candidates() -> Iterator[str | None]:
    """Yield interpreters worth asking, the likeliest first."""
    yield os.path.realpath(sys.executable) if sys.prefix == sys.base_prefix else sys.executable
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    for wanted in PREFERRED:
        yield shutil.which("python" + wanted)
        for found in sorted(glob.glob(os.path.join(pyenv, "versions", wanted + ".*", "bin"))):
            yield os.path.join(found, "python3")
    yield shutil.which("python3")
    for folder in ("/usr/local/bin", "/opt/homebrew/bin", "/usr/bin"):
        for found in sorted(glob.glob(os.path.join(folder, "python3.1[2-9]"))):
            yield found


def find(say: Callable[[str], None]) -> str:
    """Return the path of a Python >= 3.12; raises NotFound, saying what to install."""
    for python in candidates():
        if version_of(python) is not None:
            return python
    say("no Python 3.12 or newer is here: asking uv to fetch 3.13")
    fetched = fetch()
    if fetched is None:
        raise NotFound(
            "This needs Python 3.12 or newer (3.13 is best) and could not fetch one.\n"
            "Install one of these and start again:\n"
            "  Debian 13, Ubuntu 24.04 or newer:  apt-get install python3 python3-venv\n"
            "  macOS:                             brew install python@3.13\n"
            "  anywhere, with pyenv:              pyenv install 3.13\n"
            "  anywhere, with uv:                 uv python install 3.13"
        )
    return fetched


def fetch() -> str | None:
    """Return a Python 3.13 that uv installed for this user, or None if it could not."""
    pinned = os.path.join(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "requirements", "bootstrap.txt"
    )
    folder = tempfile.mkdtemp(prefix="jit-uv-")
    try:
        python = os.path.join(folder, "bin", "python")
        uv = os.path.join(folder, "bin", "uv")
        steps = (
            [sys.executable, "-m", "venv", folder],
            [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", pinned],
            [uv, "python", "install", "--quiet", "3.13"],
        )
        for step in steps:
            if subprocess.run(step, check=False, timeout=300).returncode:
                return None
        found = subprocess.run(
            [uv, "python", "find", "--managed-python", "3.13"], stdout=subprocess.PIPE, check=False
        )
        path = found.stdout.decode().strip()
        return path if version_of(path) else None
    except (OSError, subprocess.TimeoutExpired):
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
