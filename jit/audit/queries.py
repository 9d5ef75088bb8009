"""Reading the log: who may see what, searching, and where the sealer stands."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Protocol

from django.contrib.postgres.search import SearchQuery
from django.db import OperationalError, connection, transaction
from django.db.models import Q, QuerySet

from jit.audit import checking, index_terms, proofs
from jit.audit.actions import Action
from jit.audit.checking import Verification
from jit.audit.models import AuditCheckpoint, AuditEvent
from jit.audit.proofs import InclusionProof, latest_checkpoint
from jit.kernel.errors import InvalidInput, NotFound, UnknownCursor

__all__ = [
    "Cursor",
    "Filters",
    "Lag",
    "Page",
    "Verification",
    "event_visible_to",
    "events_visible_to",
    "filtered",
    "lag",
    "latest_checkpoint",
    "page",
    "proof",
    "sign_ins_of",
    "strays",
    "timeline_of_request",
    "verify_event",
]

READ_ALL = "audit:read"
LONGEST_PAGE = 200
SEARCH_MILLISECONDS = 5_000
"""A search that takes longer is stopped: the log is large and the question too wide."""


MOST_COUNTED = 5_000
"""Of a wider search the newest so many are counted: a number that says "at least" will do."""


class Reader(Protocol):
    """Whoever looks: `jit.identity.models.User` is one. (This app stands below identity.)"""

    @property
    def username(self) -> str: ...
    @property
    def permissions(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for; None and "" mean whatever. `[start, end)` is a period, `q` words."""

    actor: str = ""
    action: str = ""
    subject_type: str = ""
    subject_id: str = ""
    target: str = ""
    role: str = ""
    person: str = ""
    request_id: uuid.UUID | None = None
    grant_id: uuid.UUID | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    q: str = ""

    def named(self) -> dict[str, str]:
        """Return what is looked for, as text, without what is left open."""
        return {name: str(value) for name, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last event of the page before: the next page goes on below it."""

    at: dt.datetime
    seq: int

    def __str__(self) -> str:
        return f"{int(self.at.timestamp() * 1_000_000)}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor that a page's link carries, or raise UnknownCursor."""
        micros, _, seq = text.partition("-")
        try:
            at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=int(micros))
            return cls(at, int(seq))
        except (ValueError, OverflowError):
            raise UnknownCursor from None


@dataclass(frozen=True, slots=True)
class Page:
    """Events, newest first, and where the next page starts (None at the end)."""

    events: Sequence[AuditEvent]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the sealer is behind: unsealed events and the age of the oldest, in seconds."""

    waiting: int
    seconds: float
    checkpoint_age_seconds: float | None


class SearchTooWide(InvalidInput):
    """The search was stopped for taking too long."""

    status = 422


def events_visible_to(user: Reader) -> QuerySet[AuditEvent]:
    """Return the events that `user` may see: all with `audit:read`, else those of their own
    requests.
    """
    visible = AuditEvent.objects.defer("words")
    if READ_ALL in user.permissions:
        return visible
    if not user.username:
        return visible.none()
    return visible.filter(person=user.username, request_id__isnull=False)


def event_visible_to(user: Reader, *, seq: int) -> AuditEvent:
    """Return one event, or raise NotFound where there is none that `user` may see."""
    event = events_visible_to(user).filter(seq=seq).first()
    if event is None:
        raise NotFound("There is no such audit event, or it is not yours to see.")
    return event


def filtered(found: QuerySet[AuditEvent], filters: Filters) -> QuerySet[AuditEvent]:
    """Narrow `found` by what `filters` name. `actor` is a name or an id."""
    exact = {
        "action": filters.action,
        "subject_type": filters.subject_type,
        "subject_id": filters.subject_id,
        "target": filters.target,
        "role": filters.role,
        "person": filters.person,
        "request_id": filters.request_id,
        "grant_id": filters.grant_id,
        "at__gte": filters.start,
        "at__lt": filters.end,
    }
    found = found.filter(
        **{name: _storable(value) for name, value in exact.items() if value not in {None, ""}}
    )
    if filters.actor:
        actor = _storable(filters.actor)
        found = found.filter(Q(actor_id=actor) | Q(actor_name=actor))
    words = index_terms.split_words(filters.q[: index_terms.LONGEST_COLUMN])
    if words:
        found = found.filter(words=SearchQuery(words, config="simple", search_type="plain"))
    elif filters.q:
        found = found.none()
    return found


def page(found: QuerySet[AuditEvent], *, after: Cursor | None = None, limit: int = 50) -> Page:
    """Return up to `limit` of `found`, newest first, below `after`.

    Every page but the first says `at <=`, so that later months are not even planned. Raises
    SearchTooWide when the database took longer than SEARCH_MILLISECONDS.
    """
    limit = max(1, min(limit, LONGEST_PAGE))
    if after is not None:
        found = found.filter(at__lte=after.at).filter(
            Q(at__lt=after.at) | Q(at=after.at, seq__lt=after.seq)
        )
    with _in_time():
        rows = list(found.order_by("-at", "-seq")[: limit + 1])
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(shown, Cursor(shown[-1].at, shown[-1].seq) if more else None)


def facets(
    found: QuerySet[AuditEvent], columns: Sequence[str], *, most: int = MOST_COUNTED
) -> tuple[dict[str, Counter[str]], bool]:
    """Return, by column, how many of `found` have each value, and whether there are more than
    the newest `most`, which alone are counted. Raises SearchTooWide.
    """
    with _in_time():
        newest = found.order_by("-at", "-seq").values_list(*columns)
        rows = list(newest[: most + 1])
    counted = {
        name: Counter(row[place] for row in rows[:most]) for place, name in enumerate(columns)
    }
    return counted, len(rows) > most


def seqs_of(found: QuerySet[AuditEvent], *, most: int) -> list[int]:
    """Return the numbers of `found`, the newest `most` of them. Raises SearchTooWide."""
    with _in_time():
        return list(found.order_by("-at", "-seq").values_list("seq", flat=True)[:most])


def bodies_of(seqs: Sequence[int]) -> dict[int, bytes]:
    """Return the events as they were sealed, by their numbers."""
    rows = AuditEvent.objects.filter(seq__in=seqs).values_list("seq", "body")
    return {seq: bytes(body) for seq, body in rows}


def timeline_of_request(request_id: uuid.UUID) -> list[AuditEvent]:
    """Return every event of one request, the oldest first; callers see that it may be seen."""
    found = AuditEvent.objects.defer("words").filter(request_id=request_id)
    return list(found.order_by("at", "seq"))


def why(request_id: uuid.UUID, action: Action) -> str:
    """Return the reason that stands with the last such event of a request; empty without one."""
    found = AuditEvent.objects.filter(request_id=request_id, action=action).order_by("-seq").first()
    return str(found.content["body"].get("why", "")) if found else ""


def revokers_of(grant_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return who sent each of these grants towards its end, by name."""
    rows = AuditEvent.objects.filter(
        grant_id__in=grant_ids,
        action__in=[Action.GRANT_REVOKING.value, Action.GRANT_WITHDRAWN.value],
    )
    named = rows.order_by("at").values_list("grant_id", "actor_name")
    return {grant_id: name for grant_id, name in named if grant_id is not None}


def sign_ins_of(user_id: uuid.UUID) -> QuerySet[AuditEvent]:
    """Return one account's sign-ins, refused ones too, newest first; for the person themselves."""
    return (
        AuditEvent.objects.defer("words")
        .filter(
            subject_type="user",
            subject_id=str(user_id),
            action__in=["user.signed-in", "user.sign-in-failed", "user.signed-out"],
        )
        .order_by("-at", "-seq")
    )


def proof(seq: int) -> InclusionProof:
    """Return the inclusion proof of one event in the newest checkpoint, or raise NotSealedYet."""
    checkpoint = latest_checkpoint()
    if checkpoint is None:
        raise proofs.NotSealedYet("Nothing is sealed yet. Try again in a few seconds.")
    return proofs.prove(seq=seq, checkpoint=checkpoint)


def verify_event(seq: int) -> Verification:
    """Return whether one event is the one that was sealed; see `checking.verify_event`."""
    return checking.verify_event(seq=seq)


def lag(*, now: dt.datetime) -> Lag:
    """Return how far the sealer is behind; what a metric and a readiness check show."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH last AS (SELECT last_txid, last_seq, base_seq, at FROM audit_checkpoint "
            "ORDER BY id DESC LIMIT 1) "
            "SELECT count(*), min(e.at), (SELECT at FROM last) FROM (SELECT at FROM audit_event "
            "WHERE (txid, seq) > (coalesce((SELECT last_txid FROM last), '0'::xid8), "
            "coalesce((SELECT last_seq FROM last), 0)) "
            "AND seq > coalesce((SELECT base_seq FROM last), 0) "
            "AND txid < pg_snapshot_xmax(pg_current_snapshot()) LIMIT 100000) e"
        )
        waiting, oldest, sealed_at = cursor.fetchone()
    return Lag(
        waiting=waiting,
        seconds=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        checkpoint_age_seconds=(now - sealed_at).total_seconds() if sealed_at else None,
    )


def strays() -> int:
    """Return how many events lie outside every month's partition (there should be none)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_strays()")
        count: int = cursor.fetchone()[0]
        return count


def checkpoint_of_size(size: int) -> AuditCheckpoint:
    """Return the first checkpoint of a tree of `size`, or raise NotFound."""
    found = AuditCheckpoint.objects.filter(size=size).order_by("id").first()
    if found is None:
        raise NotFound(f"No checkpoint was signed for a log of {size} events.")
    return found


def _storable(value: object) -> object:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


@contextmanager
def _in_time() -> Iterator[None]:
    """Let the statements inside take SEARCH_MILLISECONDS, and say so when they took longer."""
    joins = connection.in_atomic_block
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true)", [str(SEARCH_MILLISECONDS)]
            )
            yield
            if joins:  # The setting would stay until the surrounding transaction ends.
                cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
    except OperationalError as stopped:
        if "statement timeout" not in str(stopped):
            raise
        raise SearchTooWide(
            "This search took too long and was stopped. Narrow it by a period, an actor, "
            "an action or a request."
        ) from stopped
