from __future__ import annotations

from django.conf import settings

from jit.kernel import clock
from jit.workflow.ports import sessions
from sessions.recording.models import Recording
from sessions.states import ClosedBecause
from tests.sessions import used
from tests.support.world import World


class TestCut:
    def test_has_nothing_to_wait_for_without_sessions(self, world: World) -> None:
        assert sessions().cut(grants=[world.grant()], now=clock.now()) == set()


class TestCutOf:
    def test_counts_what_was_open_when_the_grant_ended(self, world: World) -> None:
        grant = world.grant()
        ended = {"forwards": 2, "connections": 1}
        used.closed(used.opened(grant), ClosedBecause.REVOKED, ended=ended)
        used.closed(used.opened(grant), ClosedBecause.LOGOUT, ended=ended)
        used.opened(grant)
        assert sessions().cut_of(grants=[grant]) == {
            grant.pk: {
                "sessions_cut": 1,
                "forwards_cut": 2,
                "connections_cut": 1,
                "sessions_left": 1,
            }
        }


class TestOffer:
    def test_leaves_the_target_itself_where_no_gateway_is_set_up(self, world: World) -> None:
        assert sessions().offer(grant=world.grant(), now=clock.now()) is None


class TestRecordings:
    def test_gives_the_addresses_of_what_was_recorded(self, world: World) -> None:
        grant = world.grant()
        recorded, _unrecorded = used.opened(grant), used.opened(grant)
        Recording.objects.create(
            session=recorded, began_at=clock.now(), preamble=b"", digest="", head_at=clock.now()
        )
        address = f"{settings.BASE_URL}/sessions/{recorded.pk}/"
        assert sessions().recordings(grant_id=grant.pk) == [address]
