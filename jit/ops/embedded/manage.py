"""`make manage`: a management command in the environment of the embedded installation that runs."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from jit.ops.embedded.installation import ENVIRONMENT, ROOT, mixed


def main(arguments: Sequence[str]) -> int:  # noqa: RET503 -- execve never returns
    """Become `manage.py` with these arguments; return 1 where no installation was ever started."""
    data = Path(os.environ.get("JIT_DATA") or ".data")
    try:
        ours: dict[str, str] = json.loads((data / ENVIRONMENT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        sys.stderr.write(f"nothing runs on {data}: start it with `make run`, or set JIT_DATA\n")
        return 1
    os.execve(  # noqa: S606 -- this very Python, without a shell
        sys.executable,
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        mixed(ours),
    )


if __name__ == "__main__":
    sys.exit(main(shlex.split(os.environ.get("DO", "")) or ["help"]))
