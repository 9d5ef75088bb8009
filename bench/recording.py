"""What recording costs: bytes a second, CPU for each megabyte, memory for each open tape.

Run it as `python -m bench.recording`. It needs no database and no network: output of several
kinds goes through one recorder onto this machine's disk, as a gateway would send it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from sessions.recording.recorder import Recorder  # noqa: E402 -- Django is set up first
from sessions.recording.writer import RecordingWriter  # noqa: E402

MEGABYTES = 64
TAPES = 500
MEMORY_LIMIT = 100_000
LOSS_LIMIT = 1.0
HEADER = {"term": {"cols": 80, "rows": 24, "type": "xterm-256color"}, "title": "bench"}


def load() -> str:
    return "load average " + " ".join(f"{each:.1f}" for each in os.getloadavg())


def resident() -> int:
    """Return the bytes of memory this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def tape_of(recorder: Recorder) -> RecordingWriter:
    return recorder.open(
        session_id=uuid.uuid4(), header=HEADER, on_failure=lambda _, why: print("FAILED", why)
    )


def access_log(size: int) -> bytes:
    pick = random.Random(7)
    lines = []
    while size > 0:
        lines.append(
            f"10.0.{pick.randrange(256)}.{pick.randrange(256)} - - "
            f'"GET /orders/{pick.randrange(10**6)} HTTP/1.1" 200 {pick.randrange(9999)}\r\n'
        )
        size -= len(lines[-1])
    return "".join(lines).encode()


async def throughput(recorder: Recorder, name: str, chunk: int, content: bytes) -> None:
    """Record `content` again and again in reads of `chunk` bytes; print speed and CPU."""
    tape = tape_of(recorder)
    cpu, began, sent = time.process_time(), time.monotonic(), 0
    while sent < MEGABYTES * 1_000_000:
        for at in range(0, len(content), chunk):
            part = content[at : at + chunk]
            tape.output(part)
            sent += len(part)
            await tape.room()
    head = await tape.close()
    took, used = time.monotonic() - began, time.process_time() - cpu
    print(
        f"  {name:<28} {sent / took / 1e6:7.0f} MB/s {used / sent * 1e9:7.1f} ms CPU/MB "
        f"{head.size / sent:7.1%} of its size on disk"
    )


async def many(recorder: Recorder) -> tuple[float, float]:
    """Open TAPES tapes, let all speak, and return (bytes of memory each, worst lag in seconds)."""
    warm = [tape_of(recorder) for _ in range(20)]
    for tape in warm:
        tape.output(b"warm")
        await tape.close()
    gc.collect()
    before = resident()
    tapes = [tape_of(recorder) for _ in range(TAPES)]
    idle = (resident() - before) / TAPES
    line = b"x" * 90 + b"\r\n"
    lags: list[float] = []
    cpu, end = time.process_time(), time.monotonic() + 8
    while time.monotonic() < end:
        at = time.monotonic()
        for tape in tapes:
            tape.output(line)
        marks = {tape: tape.line_count() for tape in tapes}
        while marks:
            await asyncio.sleep(0.02)
            marks = {tape: n for tape, n in marks.items() if tape.head.lines < n}
            if time.monotonic() - at > 5:
                break
        lags.append(time.monotonic() - at)
    used = (time.process_time() - cpu) / 8
    active = (resident() - before) / TAPES
    for tape in tapes:
        await tape.close()
    print(
        f"  {TAPES} tapes: {idle / 1000:.1f} kB each when opened, {active / 1000:.1f} kB when all "
        f"speak; {used:.0%} of a core"
    )
    print(
        f"  from output to synced disk, all {TAPES} at once: "
        f"median {statistics.median(lags):.2f} s, worst {max(lags):.2f} s"
    )
    return active, max(lags)


def in_a_spool(act: Callable[[Recorder], object]) -> object:
    folder = Path(tempfile.mkdtemp(prefix="jit-bench-spool-"))
    recorder = Recorder(folder)
    try:
        return act(recorder)
    finally:
        recorder.stop()
        shutil.rmtree(folder)


def main() -> int:
    print(load())
    log, noise = access_log(8_000_000), random.Random(7).randbytes(4_000_000).hex().encode()
    print("recording, one session:")
    for name, chunk, content in (
        ("a log, reads of 32 kB", 32_768, log),
        ("a log, reads of 4 kB (a PTY)", 4_096, log),
        ("a log, reads of 128 B", 128, log[:2_000_000]),
        ("noise in hex, reads of 32 kB", 32_768, noise),
    ):
        in_a_spool(lambda r, n=name, c=chunk, d=content: asyncio.run(throughput(r, n, c, d)))
    print("many sessions in one process:")
    memory, lag = in_a_spool(lambda recorder: asyncio.run(many(recorder)))  # type: ignore[misc]
    print(load())
    kept = memory < MEMORY_LIMIT and lag < LOSS_LIMIT
    print(f"promised: under {MEMORY_LIMIT / 1000:.0f} kB each, under {LOSS_LIMIT:.0f} s: "
          f"{'kept' if kept else 'MISSED'}")  # fmt: skip
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
