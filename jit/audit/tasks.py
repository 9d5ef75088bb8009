"""The log's clocks: seal each second, file new words, have next month's partition ready."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import connection

from jit.audit import queries, sealing
from jit.kernel import clock

log = logging.getLogger(__name__)

MONTHS_AHEAD = 2


@shared_task(name="jit.audit.seal")
def seal() -> int:
    """Seal what is ready; return how many events that were."""
    return sealing.seal(now=clock.now())


@shared_task(name="jit.audit.tidy_words")
def tidy_words() -> int:
    """File the words of new events, which the next writer would have to do; return how many pages
    they filled.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_tidy_words()")
        pages: int = cursor.fetchone()[0]
    return pages


@shared_task(name="jit.audit.ensure_partitions")
def ensure_partitions() -> int:
    """Make the partitions of this month and the next ones; return how many were missing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_ensure_partitions(%s)", [MONTHS_AHEAD])
        made: int = cursor.fetchone()[0]
    if made:
        log.info("made %s partition(s) of the audit log", made)
    strays = queries.strays()
    if strays:
        log.error("%s audit event(s) are dated outside every month's partition", strays)
    return made
