"""Ask several on-call systems at once, for so long and no longer."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable, Mapping

MOST_AT_ONCE = 8


def at_once[Key: Hashable, Answer](
    questions: Mapping[Key, Callable[[], Answer]], *, seconds: float
) -> dict[Key, Answer | Exception]:
    """Return what each question answered or raised within `seconds`; one that is still busy
    then has no entry. Its thread is left to end by itself: no caller waits for it, nor does
    the end of the process.
    """
    waiting: queue.SimpleQueue[tuple[Key, Callable[[], Answer]]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Key, Answer | Exception]] = queue.SimpleQueue()
    until = time.monotonic() + seconds
    for question in questions.items():
        waiting.put(question)

    def work() -> None:
        while time.monotonic() < until:
            try:
                key, question = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((key, question()))
            except Exception as failure:  # noqa: BLE001 -- handed to the caller, who judges it
                done.put((key, failure))

    for _ in range(min(len(questions), MOST_AT_ONCE)):
        threading.Thread(target=work, name="on-call", daemon=True).start()
    answers: dict[Key, Answer | Exception] = {}
    while len(answers) < len(questions):
        try:
            key, answer = done.get(timeout=max(until - time.monotonic(), 0))
        except queue.Empty:
            break
        answers[key] = answer
    return answers
