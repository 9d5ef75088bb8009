"""Several people or workers at one instant, each on a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections


def at_once(acts: Sequence[Callable[[], Any]], *, seconds: float = 60) -> list[Any]:
    """Start all `acts` at one instant in threads; return what each gave or raised, in order."""
    gate = threading.Barrier(len(acts))
    answers: list[Any] = [None] * len(acts)

    def run(place: int, act: Callable[[], Any]) -> None:
        try:
            connections["default"].ensure_connection()
            gate.wait(seconds)
            answers[place] = act()
        except Exception as raised:  # noqa: BLE001 -- a refusal is an answer here
            answers[place] = raised
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place, act)) for place, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    return answers


def in_rounds(
    prepare: Callable[[], Callable[[], Any]], *, rounds: int = 20, many: int = 20
) -> list[list[Any]]:
    """Let `many` threads do what `prepare` returns at one instant, again for each round; return
    what they gave or raised, by round. The threads and their connections stay.
    """
    begin, finish = threading.Barrier(many + 1), threading.Barrier(many + 1)
    answers: list[list[Any]] = []
    act: Callable[[], Any] = prepare

    def run() -> None:
        try:
            connections["default"].ensure_connection()
            for _ in range(rounds):
                begin.wait(60)
                try:
                    answers[-1].append(act())
                except Exception as raised:  # noqa: BLE001 -- a refusal is an answer here
                    answers[-1].append(raised)
                finish.wait(60)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(many)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(rounds):
            act = prepare()
            answers.append([])
            begin.wait(60)
            finish.wait(60)
    finally:
        begin.abort()
        for thread in threads:
            thread.join(60)
    return answers
