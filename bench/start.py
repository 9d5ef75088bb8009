"""How long a newcomer waits: from a fresh clone with empty caches to the first page, and again.

Run it as `python -m bench.start`. The clone is of what is committed; the packages come over
the network, so the first figure is the network's as much as ours.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jit.ops.embedded import ground

ROOT = Path(__file__).resolve().parents[1]
FIRST_LIMIT_S, AGAIN_LIMIT_S = 90.0, 10.0


def shows_a_page(port: int) -> bool:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(asking):
        try:
            asking.request("GET", "/sign-in/")
            return asking.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


def start_and_stop(clone: Path, env: dict[str, str]) -> tuple[float, float, str]:
    """Return the seconds to the first page and to the greeting, and what was said."""
    begun = time.monotonic()
    log = clone.parent / "log"
    with log.open("w") as output:
        running = subprocess.Popen(
            ["make", "run"], cwd=clone, env=env, stdout=output, stderr=output
        )
    page = ready = 0.0
    try:
        while not (page and ready) and running.poll() is None:
            now = time.monotonic() - begun
            if not page and shows_a_page(int(env["JIT_PORT"])):
                page = now
            if not ready and "ready after" in log.read_text():
                ready = now
            time.sleep(0.05)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
    return page, ready, log.read_text()


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="jit-bench-"))  # 0700, like many a home folder
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("JIT_")},
        "JIT_PORT": str(ground.free_port()),
        "UV_CACHE_DIR": str(folder / "uv"),
        "PIP_CACHE_DIR": str(folder / "pip"),
        "npm_config_cache": str(folder / "npm"),
    }
    try:
        first, again = start_and_stop(clone, env), start_and_stop(clone, env)
        subprocess.run(["make", "reset"], cwd=clone, env=env, check=True, capture_output=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'seconds':34} {'first page':>11} {'all ready':>11} {'promise':>9}")
    print(
        f"{'fresh clone, empty caches':34} {first[0]:11.1f} {first[1]:11.1f} {FIRST_LIMIT_S:9.0f}"
    )
    print(f"{'started again':34} {again[0]:11.1f} {again[1]:11.1f} {AGAIN_LIMIT_S:9.0f}")
    if not (first[0] and again[0]):
        print((first if not first[0] else again)[2])
        return 1
    met = first[0] < FIRST_LIMIT_S and again[0] < AGAIN_LIMIT_S
    print("met" if met else "NOT met")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
