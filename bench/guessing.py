"""How right the guesses at a shell's commands are, on two corpora of recorded real shells.

Run it as `python -m bench.guessing`. It prints precision (which part of the guesses are commands)
and recall (which part of the commands is guessed) beside the promises: 0.98 and 0.95.
`bench/_record_shells.py` records the corpora; docs/measurements.md says how they came to be.
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
    kept = True
    print(f"{'corpus':<12}{'recordings':>12}{'commands':>10}{'precision':>11}{'recall':>8}")
    for name in shells.CORPORA:
        found = list(shells.corpus(name))
        for each in found:
            if each.invented or each.missed:
                print(f"  {each.name}: invented {each.invented}, missed {each.missed}")
        commands = sum(len(each.commands) for each in found)
        precision, recall = shells.precision_and_recall(found)
        print(f"{name:<12}{len(found):>12}{commands:>10}{precision:>11.3f}{recall:>8.3f}")
        kept = kept and precision >= PRECISION and recall >= RECALL
    print(f"promised: precision {PRECISION}, recall {RECALL}: {'met' if kept else 'MISSED'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
