"""What kill -9 costs: a process that records is killed in mid-output, 20 times.

Run it as `python -m bench.recording_killed`. Each time a child records lines that carry the time
they were shown, is killed at a random moment, and what it left is brought to a store and sealed as
by the next gateway on that machine. Printed is how much of the end
is lost, and what is shown of it.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

TIMES = 20
LIMIT = 1.0
HERE = Path(__file__).resolve().parents[1]


def child(root: str, session_id: str) -> None:
    """Record lines with the time in each until killed; say when the first stands on the disk."""
    import django

    django.setup()
    from django.conf import settings

    from sessions.recording.recorder import Recorder

    settings.SEALING_KEY = bytes.fromhex(os.environ["BENCH_SEALING_KEY"])

    async def act() -> None:
        recorder = Recorder(Path(root))
        tape = recorder.open(
            session_id=uuid.UUID(session_id), header={"term": {"cols": 80, "rows": 24}},
            on_failure=lambda _, why: print("FAILED", why, flush=True),
        )  # fmt: skip
        told = False
        while True:
            for _ in range(20):
                tape.output(b"%.6f some line of output that was shown\r\n" % time.time())
            await tape.room()
            await asyncio.sleep(0.005)
            if tape.head.pieces and not told:
                print("recording", flush=True)
                told = True

    asyncio.run(act())


def killed_at(root: Path, session_id: uuid.UUID, wait: float) -> float:
    """Start a child, kill it `wait` seconds after its first piece, and return when."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.recording_killed", str(root), str(session_id)],
        stdout=subprocess.PIPE, text=True, cwd=HERE,
    )  # fmt: skip
    assert process.stdout
    said = process.stdout.readline().strip()
    if said != "recording":
        raise RuntimeError(f"the child said {said!r}")
    time.sleep(wait)
    os.kill(process.pid, signal.SIGKILL)
    at = time.time()
    process.wait()
    process.stdout.close()
    return at


def main() -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection

    from sessions.recording import store_reader
    from sessions.recording.models import Recording
    from sessions.recording.recorder import Recorder
    from sessions.recording.stores.filesystem import FileSystem
    from sessions.recording.uploading import Uploader
    from sessions.states import ClosedBecause
    from tests.sessions import used
    from tests.support.world import World

    os.environ["BENCH_SEALING_KEY"] = settings.SEALING_KEY.hex()
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    grant = World().grant()
    folder = Path(tempfile.mkdtemp(prefix="jit-bench-killed-"))
    where, pick, lost, bad = FileSystem(folder / "store"), random.Random(), [], 0
    for number in range(TIMES):
        session = used.opened(grant)
        at = killed_at(folder / "spool", session.pk, pick.uniform(0.2, 2.0))
        used.closed(session, ClosedBecause.LOST)
        recorder = Recorder(folder / "spool")
        Uploader(recorder, where=where).turn()
        recorder.stop()
        session.refresh_from_db()
        row = Recording.objects.get(pk=session.pk)
        *_, last = store_reader.reading(row, where=where).events()
        lost.append(at - float(last.text.strip().rpartition("\n")[2].split()[0]))
        shown = [problem["sentence"] for problem in row.problems]
        fine = session.state == "SEALED" and row.standing == "incomplete" and len(shown) == 1
        bad += not fine
        print(f"  {number + 1:2}: lost {lost[-1] * 1000:4.0f} ms; {session.state}, {row.standing}: "
              f"{shown}")  # fmt: skip
    shutil.rmtree(folder)
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    kept = max(lost) < LIMIT and not bad
    print(f"{TIMES} kills: lost at most {max(lost) * 1000:.0f} ms, on average "
          f"{sum(lost) / len(lost) * 1000:.0f} ms; load average {load}")  # fmt: skip
    print(f"promised: under 1 s each, sealed as incomplete: {'kept' if kept else 'MISSED'}")
    return 0 if kept else 1


if __name__ == "__main__":
    if len(sys.argv) == 3:
        child(*sys.argv[1:])
    sys.exit(main())
