"""`make bench`: every benchmark of this folder in turn, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(wanted: list[str]) -> int:
    """Run the benchmarks named, or all; return 1 if a promise was missed or one failed."""
    known = sorted(file.stem for file in HERE.glob("*.py") if not file.stem.startswith("_"))
    unknown = set(wanted) - set(known)
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        return 2
    missed = []
    for name in wanted or known:
        print(f"== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=HERE.parent, check=False)
        if done.returncode:
            missed.append(name)
    print(f"missed or failed: {', '.join(missed)}" if missed else "every promise was met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
