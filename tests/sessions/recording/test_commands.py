"""What operators and auditors run: verify, try again, and read without the application."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as product
from django.core.management import CommandError, call_command

from sessions.recording import store_reader, uploading
from sessions.recording.models import Standing
from sessions.recording.stores.filesystem import FileSystem
from tests.sessions.recording.gateway import FakeGateway, recording

pytestmark = pytest.mark.django_db


def verified(*arguments: Any, **options: Any) -> str:
    out = io.StringIO()
    call_command("recording_verify", *map(str, arguments), stdout=out, **options)
    return out.getvalue()


class TestVerify:
    def test_says_what_is_whole_and_fails_for_what_is_not(
        self, gateway: FakeGateway, where: FileSystem
    ) -> None:
        session = gateway.record(b"x")
        gateway.move()
        assert f"{session.pk} whole" in verified(session.pk)
        assert "whole" in verified(all=True)
        (name,) = store_reader.objects(session.pk, where=where)
        path = where.root / name
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:-1])
        with pytest.raises(CommandError, match="1 recordings are not whole"):
            verified(session.pk)
        assert recording(session).standing == Standing.BROKEN

    def test_of_an_unknown_session_is_refused(self) -> None:
        with pytest.raises(CommandError, match="not all"):
            verified("01a20cbe-17c7-7684-b222-509bc2026994")


class TestRetry:
    def test_brings_away_what_was_set_aside(
        self, gateway: FakeGateway, where: FileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploading, "LONGEST_PAUSE", 0)
        session = gateway.record(b"precious\r\n")
        gateway.heads.save()
        poison = store_reader.name(session.pk, 0, recording(session).pieces - 1)
        where.put(poison, b"else", keep_until=None)
        for _ in range(uploading.TRIES):
            gateway.uploader.turn()
        assert recording(session).set_aside
        where.delete(poison)
        out = io.StringIO()
        call_command("recording_retry", stdout=out)
        assert str(session.pk) in out.getvalue()
        gateway.uploader._looked_at = 0
        gateway.uploader.turn()
        row = recording(session)
        assert row.standing == Standing.WHOLE
        assert row.set_aside == ""
        session.refresh_from_db()
        assert session.state == "SEALED"


class TestReadWithoutUs:
    def run(self, key: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        script = Path(product.BASE_DIR) / "scripts" / "read_recording.py"
        return subprocess.run(
            [sys.executable, str(script), "--key", str(key), *arguments],
            capture_output=True,
            check=False,
        )

    def test_agrees_with_us(
        self,
        gateway: FakeGateway,
        where: FileSystem,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        import os

        key = tmp_path / "key"
        key.write_text(os.environ["JIT_SEALING_KEY"], encoding="ascii")
        session = gateway.session()
        tape = gateway.tape(session)
        tape.output("grüß dich\r\n".encode())
        asyncio.run(tape.close())
        from tests.sessions import used

        used.closed(session)
        gateway.move()
        row = recording(session)
        files = [str(where.root / name) for name in store_reader.objects(session.pk, where=where)]
        sealed = ("--digest", row.digest, "--pieces", str(row.pieces))
        done = self.run(key, *sealed, *files)
        assert (done.returncode, done.stderr) == (0, b"")
        assert "grüß dich" in done.stdout.decode()
        path = tmp_path / "changed"
        data = bytearray(Path(files[0]).read_bytes())
        data[-3] ^= 1
        path.write_bytes(bytes(data))
        done = self.run(key, *sealed, str(path))
        assert done.returncode == 1
        assert b"damaged" in done.stderr
