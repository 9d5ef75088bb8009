"""The clock's work on recordings, by name; each is safe to run twice or at once."""

from __future__ import annotations

from celery import shared_task

from sessions.recording import checking, retention
from sessions.recording.transcript import indexing


@shared_task(name="sessions.recording.seal")
def seal() -> None:
    checking.seal_what_is_ready()


@shared_task(name="sessions.recording.check_again")
def check_again() -> None:
    checking.check_again()


@shared_task(name="sessions.recording.delete_what_is_due")
def delete_what_is_due() -> None:
    retention.delete_what_is_due()


@shared_task(name="sessions.recording.index")
def index() -> None:
    indexing.index_what_is_due()
