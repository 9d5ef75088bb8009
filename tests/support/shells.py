"""The corpora of recorded shells, and how right the guesses at their commands are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sessions.recording import asciicast
from sessions.recording.models import Tier
from sessions.recording.transcript.commands import Found
from sessions.recording.transcript.stripper import Stripper

FOLDER = Path(__file__).resolve().parents[1] / "sessions/recording/transcript"
CORPORA = ("shells", "held-out")
"""What the guesser was made with, and what was recorded afterwards, without looking at it."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """Of one recording: what was typed, what was guessed, and how far they agree."""

    name: str
    commands: list[str]
    guessed: list[str]

    @property
    def right(self) -> int:
        return (Counter(self.commands) & Counter(self.guessed)).total()

    @property
    def invented(self) -> list[str]:
        return list((Counter(self.guessed) - Counter(self.commands)).elements())

    @property
    def missed(self) -> list[str]:
        return list((Counter(self.commands) - Counter(self.guessed)).elements())


def corpus(name: str) -> Iterator[Guesses]:
    """Yield what is guessed of each recording of a corpus, in the order of their names."""
    for file in sorted((FOLDER / name).glob("*.jsonl")):
        # Only a line feed ends a line: JSON holds other ends of lines as they are.
        head, *lines = file.read_text(encoding="utf-8").split("\n")
        stripper = Stripper()
        found = [*stripper.take(asciicast.events(lines)), *stripper.end()]
        guessed = [
            each.text for each in found if isinstance(each, Found) and each.tier == Tier.GUESSED
        ]
        typed = [command.strip() for command in json.loads(head)["commands"]]
        yield Guesses(file.stem, typed, guessed)


def precision_and_recall(found: list[Guesses]) -> tuple[float, float]:
    """Return which part of the guesses are commands, and which part of the commands is guessed."""
    right = sum(each.right for each in found)
    guessed = sum(len(each.guessed) for each in found)
    commands = sum(len(each.commands) for each in found)
    return right / guessed, right / commands
