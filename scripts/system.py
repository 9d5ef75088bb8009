"""What tests need from the operating system: installed where we may, named where we may not."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Callable

NEEDS = {
    "chromium": lambda: bool(shutil.which("chromium") or shutil.which("chromium-browser")),
    "default-jdk-headless": lambda: bool(shutil.which("java") and shutil.which("javac")),
    "dropbear-bin": lambda: bool(shutil.which("dbclient") and shutil.which("dropbearconvert")),
    "libpostgresql-jdbc-java": lambda: os.path.exists("/usr/share/java/postgresql.jar"),
    "nginx": lambda: bool(shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")),
    "openssh-client": lambda: bool(shutil.which("ssh") and shutil.which("ssh-keygen")),
    "openssh-server": lambda: bool(
        shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    ),
    "pgbouncer": lambda: bool(
        shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    ),
    "postgresql-15": lambda: os.access("/usr/lib/postgresql/15/bin/postgres", os.X_OK),
    "postgresql-15-cron": lambda: os.path.exists("/usr/lib/postgresql/15/lib/pg_cron.so"),
}


FOR_TESTS = [
    "default-jdk-headless",
    "dropbear-bin",
    "libpostgresql-jdbc-java",
    "nginx",
    "openssh-client",
    "openssh-server",
    "pgbouncer",
    "postgresql-15",
    "postgresql-15-cron",
]
"""What the tests without a browser start or drive."""


class Missing(Exception):
    """A program is missing and could not be installed; the message is the command to give."""


def need(packages: list[str], say: Callable[[str], None]) -> None:
    """Make sure that the programs of these Debian packages are here; raises Missing."""
    missing = [package for package in packages if not NEEDS[package]()]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    by_hand = "apt-get update && " + " ".join(command)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing("The tests need %s. Please run, as root:\n  %s" % (missing, by_hand))
    say("installing with apt: " + ", ".join(missing))
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.run(["apt-get", "update", "-qq"], check=False, env=env)
    done = subprocess.run([*command, "-qq"], check=False, env=env)
    if done.returncode or not all(NEEDS[package]() for package in missing):
        raise Missing("apt could not install %s. Please run:\n  %s" % (missing, by_hand))
