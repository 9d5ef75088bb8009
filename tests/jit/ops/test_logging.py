"""What a log line says, and that a request's id goes with its tasks."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading

import pytest
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker

from jit.ops import context
from jit.ops import logging as ours


@pytest.fixture
def record():
    def make(message: str, *args: object, **extra: object) -> logging.LogRecord:
        made = logging.LogRecord("jit.x", logging.WARNING, __file__, 1, message, args, None)
        made.__dict__.update(extra)
        return made

    return make


def broken(why: str) -> None:
    raise ValueError(why)


@pytest.fixture
def of_request():
    token = context.request_id.set("edge-4711-abcd")
    yield
    context.request_id.reset(token)


class TestJson:
    def test_says_what_when_and_for_which_request(self, record, of_request) -> None:
        line = json.loads(ours.Json().format(record("%s has gone", "rita", grant="g1")))
        assert line["message"] == "rita has gone"
        assert (line["level"], line["logger"]) == ("warning", "jit.x")
        assert (line["request_id"], line["grant"]) == ("edge-4711-abcd", "g1")
        assert line["at"].endswith("Z")

    def test_is_one_line_whatever_it_is_told(self, record) -> None:
        line = ours.Json().format(record("a\nb\u2028c\x7f", what=object()))
        assert line.isascii()
        assert "\n" not in line
        assert json.loads(line)["message"] == "a\nb\u2028c\x7f"

    def test_an_extra_never_replaces_the_line_s_own_words(self, record) -> None:
        line = json.loads(ours.Json().format(record("true", level="forged", logger="forged")))
        assert (line["level"], line["logger"]) == ("warning", "jit.x")

    def test_masks_secrets_in_message_extra_and_trace(self, record) -> None:
        made = record("password=hunter2", url="redis://:hunter2@cache/0", password="hunter2")
        try:
            broken("token=hunter2")
        except ValueError:
            made.exc_info = sys.exc_info()
        line = ours.Json().format(made)
        assert "ValueError" in line
        assert "hunter2" not in line

    def test_masks_secrets_in_objects(self, record) -> None:
        class Url:
            def __str__(self) -> str:
                return "redis://:hunter2@cache/0"

        assert "hunter2" not in ours.Json().format(record("x", url=Url()))


class TestHuman:
    def test_no_message_can_pretend_to_be_another_line(self, record, of_request) -> None:
        line = ours.Human().format(record("rita\n00:00:00 ERROR forged \x1b[31m"))
        assert "\n" not in line
        assert "\x1b" not in line
        assert line.endswith("[edge-471]")

    def test_shows_where_it_broke(self, record) -> None:
        made = record("broken")
        try:
            broken("why")
        except ValueError:
            made.exc_info = sys.exc_info()
        assert "ValueError: why" in ours.Human().format(made)


class TestConfigure:
    def test_writes_lines_in_the_form_that_is_set(self, settings) -> None:
        program = (
            "import django, logging; django.setup(); "
            "from django.conf import settings; from jit.ops.logging import configure; "
            "logging.getLogger('jit.x').info('token=hunter2hunter2'); "
            "settings.LOGGING_AS_JSON = False; configure(); "
            "logging.getLogger('jit.x').info('token=hunter2hunter2')"
        )
        environment = {
            "DJANGO_SETTINGS_MODULE": "jit.settings",
            "JIT_SECRET_KEY": "x" * 50,
            "JIT_LOG_JSON": "1",
            "PATH": "/usr/bin:/bin",
        }
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
        )
        for_machines, for_people = ran.stderr.splitlines()
        assert json.loads(for_machines)["message"] == "token=[hidden]"
        assert for_people.endswith("INFO    jit.x: token=[hidden]")


@pytest.fixture
def _logging_left_alone():
    """Keep Celery's worker, and `configure`, from changing the logging of later tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    signals.setup_logging.connect(_listen)
    yield
    signals.setup_logging.disconnect(_listen)
    root.handlers[:] = handlers
    root.setLevel(level)


def _listen(**_kwargs: object) -> None:
    """Celery leaves logging alone when somebody listens."""


@pytest.mark.usefixtures("_logging_left_alone")
class TestTasks:
    def test_carry_the_request_s_id_to_the_worker(
        self, settings, of_request, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # This worker is a thread of the test, and the database is not the test's subject.
        monkeypatch.setattr("jit.ops.checks.refuse_to_start_if_misconfigured", lambda: None)
        monkeypatch.setattr("jit.ops.start.warm_up", lambda: None)
        app = Celery("carry", broker=settings.REDIS_URL, fixups=set(), set_as_current=False)
        app.conf.update(
            task_default_queue="test-carry",
            task_ignore_result=True,
            worker_hijack_root_logger=False,
        )
        heard: list[tuple[str, str]] = []
        done = threading.Event()

        @app.task(name="test.carry")
        def carry() -> None:
            heard.append((context.request_id.get(), context.task_name.get()))
            if len(heard) == 2:
                done.set()

        ours.configure()
        with start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=10):
            app.send_task("test.carry")
            context.request_id.set("")
            app.send_task("test.carry", task_id="0123456789abcdef")
            assert done.wait(10)
        assert heard == [("edge-4711-abcd", "test.carry"), ("0123456789abcdef", "test.carry")]
