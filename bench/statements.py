"""How many SQL statements the calls take that people make most.

Run it as `python -m bench.statements`. It counts on a throw-away database what the tests assert
(tests/jit/api/test_statements.py, where the same counts are checked at 100,000 rows).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEST = "tests/jit/api/test_statements.py"


def main() -> int:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rP", "--no-header", "-p", "no:randomly", TEST],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print("call                                          statements   promise")
    for row in done.stdout.splitlines():
        if row.startswith("counted: "):
            what, count, promise = row.removeprefix("counted: ").split(" | ")
            print(f"{what:45} {count:>10}   at most {promise}")
    print(done.stdout.strip().splitlines()[-1])
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
