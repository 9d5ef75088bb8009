"""Log lines for machines (JSON) or for people, each with the request it belongs to."""

from __future__ import annotations

import datetime as dt
import json
import logging
import logging.config
from typing import Any

from celery import signals
from django.conf import settings

from jit.kernel import clock
from jit.ops import context
from jit.ops.redaction import Redactor, known_secrets

HEADER = "jit_request_id"
"""The task message's header that carries the request's id from the edge to the task."""
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(0x80, 0xA0))} | {
    code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028)
}


class _Lines(logging.Formatter):
    """What both formats share: masking, and the context of the line."""

    def __init__(self) -> None:
        super().__init__()
        self._redact = Redactor(known_secrets())

    def _message(self, record: logging.LogRecord) -> str:
        return self._redact(record.getMessage())

    def _trace(self, record: logging.LogRecord) -> str:
        parts = [self.formatException(record.exc_info)] if record.exc_info else []
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return self._redact("\n".join(parts))


class Json(_Lines):
    """One JSON object a line: `at` (RFC 3339, UTC), `level`, `logger`, `message`, `process`,
    `request_id`, `task`, `trace`, and whatever was given as `extra`.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, Any] = {
            "at": clock.rfc3339(at),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
            "process": f"{settings.PROCESS}:{record.process}",
            "request_id": context.request_id.get(),
            "task": context.task_name.get(),
            "trace": self._trace(record),
        }
        extra = {name: item for name, item in vars(record).items() if name not in _STANDARD}
        line = {
            **self._redact.deep(extra),
            **{name: item for name, item in line.items() if item != ""},
        }
        return json.dumps(line, default=self._as_text)

    def _as_text(self, value: object) -> str:
        return self._redact(str(value))


class Human(_Lines):
    """One line for a person: time, level, logger, message, and the request's first letters.
    Control characters are made visible, so that no message can pretend to be another line.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = dt.datetime.fromtimestamp(record.created).astimezone()
        about = context.request_id.get()[:8]
        line = (
            f"{at:%H:%M:%S}.{int(record.msecs):03d} {record.levelname:<7} {record.name}: "
            f"{self._message(record).translate(_CONTROLS)}"
        )
        if about:
            line += f" [{about}]"
        trace = self._trace(record)
        return f"{line}\n{trace}" if trace else line


def _carry_request(headers: dict[str, Any] | None = None, **_kwargs: Any) -> None:
    """Put the request's id on a task's message (Celery's before_task_publish)."""
    if headers is not None and (about := context.request_id.get()):
        headers.setdefault(HEADER, about)


def _take_request_up(task_id: str = "", task: Any = None, **_kwargs: Any) -> None:
    """Read it in the worker; a task of the schedule is its own request (task_prerun)."""
    about = getattr(task.request, HEADER, None) if task else None
    context.request_id.set(context.accepted(about or task_id))
    context.task_name.set(task.name if task else "")


def _put_request_down(**_kwargs: Any) -> None:
    """Forget it, since the worker's next task is another's (task_postrun)."""
    context.request_id.set("")
    context.task_name.set("")


def configure() -> None:
    """Set logging up for this process, and let tasks carry the request's id. Idempotent."""
    form = Json if settings.LOGGING_AS_JSON else Human
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": {"()": form}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
            "root": {"handlers": ["stderr"], "level": settings.LOG_LEVEL},
            "loggers": {
                "django.request": {"level": "ERROR"},
                "asyncssh": {"level": "WARNING"},
                "django.server": {"level": "WARNING"},
                "uvicorn.access": {"level": "WARNING"},
                "celery.app.trace": {"level": "WARNING"},
                "celery.worker.strategy": {"level": "WARNING"},
                "celery.beat": {"level": "WARNING"},
                "jira": {"level": "CRITICAL"},
            },
        }
    )
    signals.before_task_publish.connect(_carry_request, dispatch_uid="jit.request", weak=False)
    signals.task_prerun.connect(_take_request_up, dispatch_uid="jit.request", weak=False)
    signals.task_postrun.connect(_put_request_down, dispatch_uid="jit.request", weak=False)
