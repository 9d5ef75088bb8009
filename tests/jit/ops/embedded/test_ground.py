"""Where servers may live: reached without loosening anything."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jit.ops.embedded import ground
from tests.support.processes import ROOT

STRANGER = ground.Account("stranger", 54321, 54321)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program in a tree that only its owner may enter, as in a home folder."""
    file = tmp_path / "private" / "tree" / "bin" / "server"
    file.parent.mkdir(parents=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    (tmp_path / "private").chmod(0o700)
    return file


def modes(root: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mode for path in [root, *root.rglob("*")]}


class TestAccount:
    def test_may_run_what_everybody_may(self):
        assert STRANGER.can_run(Path("/bin/sh").resolve())

    def test_may_not_run_what_lies_in_a_private_folder(self, program):
        assert not STRANGER.can_run(program)

    def test_may_run_what_lies_in_its_own_private_folder(self, program):
        owner = program.stat()
        # The folders above tmp_path belong to whoever runs the tests, too.
        assert ground.Account("owner", owner.st_uid, owner.st_gid).can_run(program)

    def test_may_not_enter_a_folder_of_somebody_else(self, program):
        assert not STRANGER.can_enter(program.parent)


class TestAccountToRunAs:
    def test_is_nobody_but_ourselves_for_an_ordinary_user(self, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert ground.account() is None

    def test_is_an_unprivileged_account_for_root(self, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        found = ground.account()
        assert found
        assert found.uid != 0

    def test_says_what_to_do_if_the_system_has_none(self, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(ground, "_CANDIDATES", ("no-such-account",))
        with pytest.raises(ground.NoGround, match="as an ordinary user"):
            ground.account()


class TestHome:
    def test_is_the_data_folder_for_an_ordinary_user(self, monkeypatch, tmp_path):
        monkeypatch.setattr(ground, "account", lambda: None)
        assert ground.home(tmp_path / "data") == tmp_path / "data"
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700

    def test_is_a_folder_of_its_own_for_root(self, monkeypatch, tmp_path):
        me = ground.Account("me", os.geteuid(), os.getegid())
        monkeypatch.setattr(ground, "account", lambda: me)
        monkeypatch.setattr(ground, "_root_folder", lambda _runner: tmp_path)
        one, other = ground.home(Path("/srv/one")), ground.home(Path("/srv/other"))
        assert one.parent == other.parent == tmp_path
        assert one != other
        assert one == ground.home(Path("/srv/one"))
        assert one.stat().st_mode & 0o777 == 0o700


class TestRootFolder:
    def test_is_never_one_that_others_may_write(self, monkeypatch, tmp_path):
        trap, fine = tmp_path / "trap", tmp_path / "fine"
        for parent in (trap, fine):
            parent.mkdir()
        (trap / "jit-embedded").mkdir()
        (trap / "jit-embedded").chmod(0o777)
        monkeypatch.setattr(ground, "_ROOT_HOMES", (trap, fine))
        monkeypatch.setattr(ground.Account, "can_enter", lambda *_: True)
        monkeypatch.setattr(os, "access", lambda *_: True)
        if os.geteuid() == 0:
            assert ground._root_folder(STRANGER) == fine / "jit-embedded"
        else:  # Nothing here belongs to root: nothing is good enough.
            with pytest.raises(ground.NoGround):
                ground._root_folder(STRANGER)

    def test_can_be_entered_whatever_the_umask(self, monkeypatch, tmp_path):
        monkeypatch.setattr(ground, "_ROOT_HOMES", (tmp_path,))
        monkeypatch.setattr(ground.Account, "can_enter", lambda *_: True)
        before = os.umask(0o077)
        try:
            if os.geteuid() == 0:
                ground._root_folder(STRANGER)
            else:
                with pytest.raises(ground.NoGround):
                    ground._root_folder(STRANGER)
        finally:
            os.umask(before)
        assert (tmp_path / "jit-embedded").stat().st_mode & 0o777 == 0o755


class TestRunnableCopy:
    @pytest.fixture
    def elsewhere(self, monkeypatch, tmp_path):
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        monkeypatch.setattr(ground, "account", lambda: STRANGER)
        monkeypatch.setattr(ground, "_root_folder", lambda _runner: folder)
        return folder

    def copy(self, program: Path) -> Path:
        tree = program.parent.parent
        return ground.runnable_copy(
            tree, beside=tree.with_name("libs"), probe="bin/server", label="server-1"
        )

    def test_copies_what_the_account_can_not_reach(self, program, elsewhere):
        before = modes(program.parents[2])
        copied = self.copy(program)
        assert copied == elsewhere / "server-1" / "tree"
        assert (copied / "bin" / "server").read_text() == program.read_text()
        assert modes(program.parents[2]) == before

    def test_lets_everybody_read_the_copy_whatever_the_umask(self, program, elsewhere):
        umask = os.umask(0o077)
        try:
            copied = self.copy(program)
        finally:
            os.umask(umask)
        seen = {path.stat().st_mode & 0o777 for path in [copied.parent, *copied.rglob("*")]}
        assert seen == {0o755}

    def test_copies_once(self, program, elsewhere):
        copied = self.copy(program)
        (copied / "bin" / "server").write_text("kept")
        assert self.copy(program) == copied
        assert (copied / "bin" / "server").read_text() == "kept"

    def test_leaves_in_place_what_the_account_can_run(self, elsewhere):
        shell = Path("/bin/sh").resolve()
        tree = shell.parent
        found = ground.runnable_copy(tree, beside=tree / "no", probe=shell.name, label="sh")
        assert found == tree
        assert not list(elsewhere.iterdir())


class TestFreePort:
    def test_is_the_wanted_one_if_it_is_free(self):
        port = ground.free_port()
        assert ground.free_port(port) == port

    def test_is_none_that_a_connection_may_take_before_its_server_binds_it(self):
        """Another cluster once listened where a gateway was to: log-ins were refused there."""
        given_out_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        assert all(ground.free_port() < given_out_from for _ in range(20))

    def test_is_not_given_to_two_processes_before_either_binds_it(self):
        """A database once came up where the gateway of another installation was to."""
        ask = "from jit.ops.embedded import ground; print(ground.free_port()); input()"
        with subprocess.Popen(
            [sys.executable, "-c", ask],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            port = int(other.stdout.readline())
            assert ground.free_port(port) != port
            other.stdin.close()
        assert ground.free_port(port) == port

    def test_is_another_if_the_wanted_one_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            assert ground.free_port(taken.getsockname()[1]) != taken.getsockname()[1]
