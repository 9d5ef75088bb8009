"""How right the guesses at a shell's commands are, on a corpus of recorded real shells.

Run it as `python -m bench.guessing`. It prints precision (which part of the guesses are commands)
and recall (which part of the commands is guessed) beside the promises: 0.98 and 0.95.
`bench/_record_shells.py` records the corpus.
"""

from __future__ import annotations

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from tests.support import shells  # noqa: E402 -- Django is set up first

PRECISION, RECALL = 0.98, 0.95


def main() -> int:
    found = list(shells.corpus())
    for each in found:
        if each.invented or each.missed:
            print(f"{each.name}: invented {each.invented}, missed {each.missed}")
    commands = sum(len(each.commands) for each in found)
    precision, recall = shells.precision_and_recall(found)
    print(f"{len(found)} recordings with {commands} commands")
    print(
        f"precision {precision:.3f} (promise {PRECISION}), recall {recall:.3f} (promise {RECALL})"
    )
    return 0 if precision >= PRECISION and recall >= RECALL else 1


if __name__ == "__main__":
    sys.exit(main())
