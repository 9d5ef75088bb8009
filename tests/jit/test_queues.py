"""Which task waits in which queue: what gives and ends privilege waits behind nothing else."""

from __future__ import annotations

from django.conf import settings

from jit.celery import app


def queue_of(name: str) -> str:
    found: str = app.amqp.router.route({}, name, (), {})["queue"].name
    return found


class TestQueues:
    def test_what_is_promised_has_its_own(self) -> None:
        app.loader.import_default_modules()
        ours = {name for name in app.tasks if not name.startswith("celery.")}
        promised = {name for name in ours if queue_of(name) == settings.PROMISED_QUEUE}
        assert promised == set(settings.PROMISED_TASKS)
        assert {queue_of(name) for name in ours - promised} == {settings.BACKGROUND_QUEUE}

    def test_a_task_of_tomorrow_is_in_nobodys_way(self) -> None:
        assert queue_of("jit.somebody.thought_of_it_later") == settings.BACKGROUND_QUEUE
