"""Who sees which events, and how they are found."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from jit.audit import queries
from jit.audit.operations import Links
from jit.audit.proofs import NotSealedYet
from jit.audit.queries import Cursor, Filters
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.kernel.errors import NotFound, UnknownCursor
from tests.jit.audit.conftest import NOW, sign_in

pytestmark = pytest.mark.usefixtures("empty_log")
ADA = Actor(kind=ActorKind.USER, id=str(uuid.uuid4()), name="ada", channel=Channel.API)
HERS, HIS = uuid.uuid4(), uuid.uuid4()


@dataclass(frozen=True)
class Someone:
    username: str
    permissions: frozenset[str] = frozenset()


UDO = Someone("udo", frozenset({"audit:read"}))
RITA = Someone("rita", frozenset({"request:create"}))
OTTO = Someone("otto")


@pytest.fixture
def told(empty_log) -> None:
    with transaction.atomic():
        sign_in(number=1)
        sign_in(number=2, links=Links(person="rita"))
        sign_in(number=3, links=Links(person="rita", request_id=HERS, target="orders-db"))
        sign_in(number=4, links=Links(person="bo", request_id=HIS, grant_id=HIS, role="writer"))
        sign_in(
            number=5,
            actor=ADA,
            now=NOW + dt.timedelta(hours=1),
            links=Links(person="rita", request_id=HERS),
            said="look at /etc/shadow, please",
        )


def numbers(found) -> list[int]:
    return sorted(event.content["body"]["number"] for event in found)


def search(**filters) -> list[int]:
    return numbers(queries.filtered(queries.events_visible_to(UDO), Filters(**filters)))


@pytest.mark.usefixtures("told")
class TestEventsVisibleTo:
    def test_are_all_for_an_auditor(self):
        assert numbers(queries.events_visible_to(UDO)) == [1, 2, 3, 4, 5]

    def test_are_those_of_ones_own_requests_for_a_requester(self):
        assert numbers(queries.events_visible_to(RITA)) == [3, 5]

    def test_are_none_for_a_stranger_or_nobody(self):
        assert numbers(queries.events_visible_to(OTTO)) == []
        assert numbers(queries.events_visible_to(Someone(""))) == []

    def test_one_is_found_or_not_said_to_exist(self):
        seq = queries.events_visible_to(UDO).filter(request_id=HIS)[0].seq
        assert queries.event_visible_to(UDO, seq=seq).seq == seq
        with pytest.raises(NotFound):
            queries.event_visible_to(RITA, seq=seq)


@pytest.mark.usefixtures("told")
class TestFiltered:
    def test_narrows_by_each_column(self):
        assert search() == [1, 2, 3, 4, 5]
        assert search(actor="ada") == search(actor=ADA.id) == [5]
        assert search(action="user.signed-in", person="bo") == [4]
        assert search(request_id=HERS) == [3, 5]
        assert search(grant_id=HIS) == [4]
        assert search(target="orders-db") == [3]
        assert search(role="writer") == [4]
        assert search(subject_type="user", action="grant.created") == []

    def test_takes_a_period_without_its_end(self):
        hour = NOW + dt.timedelta(hours=1)
        assert search(start=NOW, end=hour) == [1, 2, 3, 4]
        assert search(start=hour) == [5]

    def test_finds_words_inside_a_path(self):
        assert search(q="shadow") == [5]
        assert search(q="/etc/shadow") == [5]
        assert search(q="SHADOW please") == [5]
        assert search(q="passwd") == []

    @pytest.mark.parametrize("q", ["'", "word:*&|!", "\0", "!!!", "\u202e", "x" * 10_000])
    def test_takes_hostile_words_as_words(self, q: str):
        # No letter below g alone: an event's id may hold one, as `5e2a` is the number 5e2 and `a`.
        assert search(q=q) == []

    @pytest.mark.parametrize("text", ["\0", "'; --", "x" * 10_000])
    def test_takes_hostile_names_as_names(self, text: str):
        assert search(actor=text, action=text, target=text, role=text) == []


@pytest.mark.usefixtures("told")
class TestPage:
    def walk(self, limit: int) -> list[int]:
        after, seen = None, []
        while True:
            page = queries.page(queries.events_visible_to(UDO), after=after, limit=limit)
            assert len(page.events) <= limit
            seen += [event.content["body"]["number"] for event in page.events]
            if page.next is None:
                return seen
            after = Cursor.parse(str(page.next))

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 50])
    def test_shows_each_event_once_newest_first(self, limit: int):
        assert self.walk(limit) == [5, 4, 3, 2, 1]

    def test_says_at_most_in_every_later_page(self):
        after = Cursor(NOW, 4)
        with CaptureQueriesContext(connection) as captured:
            queries.page(queries.events_visible_to(UDO), after=after)
        (select,) = [query["sql"] for query in captured if "audit_event" in query["sql"]]
        assert '"at" <= ' in select

    def test_leaves_no_timeout_behind_in_the_transaction_around_it(self):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            before = cursor.fetchone()
            queries.page(queries.events_visible_to(UDO))
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == before

    def test_stops_a_search_that_takes_too_long_and_says_what_to_do(self, monkeypatch):
        monkeypatch.setattr(queries, "SEARCH_MILLISECONDS", 20)
        slow = queries.events_visible_to(UDO).extra(where=["pg_sleep(1) IS NOT NULL"])
        with pytest.raises(queries.SearchTooWide, match="Narrow it"):
            queries.page(slow)

    @pytest.mark.parametrize("text", ["", "x", "1", "1-", "-1", "9" * 40 + "-1", "1-2-3", "ä-1"])
    def test_refuses_a_cursor_that_is_none(self, text: str):
        with pytest.raises(UnknownCursor, match="first page"):
            Cursor.parse(text)


class TestTimelineOfRequest:
    def test_is_in_the_order_of_happening(self, told):
        timeline = queries.timeline_of_request(HERS)
        assert [event.content["body"]["number"] for event in timeline] == [3, 5]


class TestProof:
    def test_waits_for_the_sealer(self, told, seal):
        seq = queries.events_visible_to(UDO)[0].seq
        with pytest.raises(NotSealedYet):
            queries.proof(seq)
        seal()
        found = queries.proof(seq)
        assert found.checkpoint == queries.latest_checkpoint()
        assert found.checkpoint.size == 5
