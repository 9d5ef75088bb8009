"""The list's bytes: OpenSSH itself reads them, and nothing else is ever found in its place."""

from __future__ import annotations

import stat
import subprocess
import threading

import pytest

from jit.connectors.ssh import keys, krl
from jit.connectors.ssh.authority import Authority
from jit.kernel import clock

NAME = "jit_0123456789abcdef"


def ask_openssh(folder, content: bytes, line: str) -> bool:
    """Return whether ssh-keygen says that the list refuses this certificate."""
    (folder / "list").write_bytes(content)
    (folder / "it-cert.pub").write_text(line)
    done = subprocess.run(
        ["ssh-keygen", "-Q", "-f", folder / "list", folder / "it-cert.pub"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ("REVOKED" in done.stdout) is (done.returncode == 1), done
    return done.returncode == 1


class TestWritten:
    @pytest.fixture
    def sign(self):
        ca = Authority.from_text(keys.new_private_key())
        key = keys.public_line(keys.read_private(keys.new_private_key()))

        def sign(name=NAME, serial=7):
            return ca.sign_user(
                public_key=key,
                key_id=name,
                principals=["web"],
                now=clock.now(),
                valid_for_seconds=60,
                serial=serial,
            )

        return sign

    def test_openssh_refuses_by_key_id_and_by_serial_and_nothing_else(self, sign, tmp_path):
        content = krl.written(
            krl.Krl(version=3, generated=1_700_000_000, key_ids={NAME}, serials={8, 2**63})
        )
        assert ask_openssh(tmp_path, content, sign())
        assert ask_openssh(tmp_path, content, sign("jit_other", serial=8))
        assert ask_openssh(tmp_path, content, sign("jit_other", serial=2**63))
        assert not ask_openssh(tmp_path, content, sign("jit_other", serial=9))

    def test_an_empty_list_is_a_list(self, sign, tmp_path):
        empty = krl.written(krl.Krl(version=1, generated=0))
        assert not ask_openssh(tmp_path, empty, sign())
        assert krl.read(empty) == krl.Krl(version=1, generated=0)

    def test_ten_thousand_entries_are_read_again(self):
        much = krl.Krl(
            version=9,
            generated=5,
            key_ids=frozenset(f"jit_{n:032x}" for n in range(10_000)),
            serials=frozenset(range(1, 10_000)),
        )
        assert krl.read(krl.written(much, comment="web")) == much


class TestRead:
    def test_refuses_what_is_cut_short_or_something_else(self):
        whole = krl.written(krl.Krl(version=1, generated=0, key_ids={NAME}))
        head = 44  # Cut right there it is a list, too: one without sections.
        for length in {*range(len(whole))} - {head}:
            with pytest.raises(krl.BrokenKrl):
                krl.read(whole[:length])
        with pytest.raises(krl.BrokenKrl):
            krl.read(b"-----BEGIN OPENSSH PRIVATE KEY-----------")


class TestReplace:
    def test_leaves_the_new_content_alone_with_its_mode(self, tmp_path):
        path = tmp_path / "web.krl"
        krl.replace(path, b"one", mode=0o644)
        krl.replace(path, b"two", mode=0o644)
        assert path.read_bytes() == b"two"
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert list(tmp_path.iterdir()) == [path]

    def test_whoever_reads_meanwhile_finds_it_whole(self, tmp_path):
        path, seen, done = tmp_path / "web.krl", set(), threading.Event()
        krl.replace(path, b"a" * 100_000, mode=0o644)

        def look():
            while not done.is_set():
                content = path.read_bytes()
                seen.add((len(content), len(set(content))))

        reader = threading.Thread(target=look)
        reader.start()
        for letter in (b"b", b"c") * 50:
            krl.replace(path, letter * 100_000, mode=0o644)
        done.set()
        reader.join()
        assert seen <= {(100_000, 1)}

    def test_a_failure_leaves_the_old_content(self, tmp_path, monkeypatch):
        path = tmp_path / "web.krl"
        krl.replace(path, b"old", mode=0o644)

        def full(handle):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(krl.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            krl.replace(path, b"new", mode=0o644)
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]
