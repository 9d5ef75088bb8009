"""The forced command that a host runs in place of what was asked for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from jit.connectors.ssh import scripts
from jit.connectors.ssh.config import SSHRole

NAME = "jit_0123456789abcdef0123456789abcdef"
FILES_ALONE = SSHRole(principals=("web",), shell=False, exec=False)


def asked(command: str, home: Path, role: SSHRole = FILES_ALONE) -> subprocess.CompletedProcess:
    """Run what a host would run, with an scp that says that it was run and with what."""
    programs = home / "programs"
    programs.mkdir(exist_ok=True)
    scp = programs / "scp"
    scp.write_text('#!/bin/sh\nprintf "copies:"; printf "%s|" "$@"\n')
    scp.chmod(0o700)
    return subprocess.run(
        ["/bin/sh", "-c", scripts.session(NAME, role, "tag")],
        check=False,
        capture_output=True,
        text=True,
        cwd=home,
        timeout=20,
        env={
            "SSH_ORIGINAL_COMMAND": command,
            "SHELL": "/bin/sh",
            "PATH": f"{programs}:{os.environ['PATH']}",
        },
        stdin=subprocess.DEVNULL,
    )


class TestARoleOfFilesAlone:
    @pytest.mark.parametrize(
        "command",
        [
            "scp -t jc/x",
            "scp -f /etc/hostname",
            "scp -v -r -p -d -t jc/",
            "scp -pf x",
            "scp -f -p -r x",
            "scp -t -- -x",
            "scp -t ~/Grüße",
        ],
    )
    def test_copies_by_old_scp(self, command: str, tmp_path: Path) -> None:
        done = asked(command, tmp_path)
        assert done.stdout.startswith("copies:"), done.stderr

    @pytest.mark.parametrize(
        "command",
        [
            "scp",
            "scp -t",
            "scp x -t",
            "scp -p x",
            "scp -t x y",
            "scp -t -f x",
            "scp -f -S/bin/sh x",
            "scp -f /etc/hostname; echo ran",
            "scp -f x && echo ran",
            "scp -f x\necho ran",
            "scp -f $(echo ran >&2)",
            "scp -f `echo ran >&2`",
            "scp -f x >ran",
            "/tmp/scp -f x",
            "scp -f 'x'",
            "echo ran",
        ],
    )
    def test_runs_nothing_else_that_begins_or_looks_like_it(
        self, command: str, tmp_path: Path
    ) -> None:
        done = asked(command, tmp_path)
        assert (done.returncode, done.stdout) == (126, "")
        assert "allows no commands" in done.stderr
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize(
        "command", ["/bin/echo ran /sftp-server", "/bin/sh -c 'echo ran' x/sftp-server", "{}"]
    )
    def test_runs_no_program_because_it_mentions_the_file_server(
        self, command: str, tmp_path: Path
    ) -> None:
        own = tmp_path / "sftp-server"
        own.write_text("#!/bin/sh\necho ran\n")
        own.chmod(0o700)
        done = asked(command.format(own), tmp_path)
        assert (done.returncode, done.stdout) == (126, "")

    def test_is_given_the_file_server_whatever_it_is_called_with(self, tmp_path: Path) -> None:
        for command in ("internal-sftp", "internal-sftp -l INFO", scripts.SFTP_SERVERS[0]):
            assert asked(command, tmp_path).returncode == 0
