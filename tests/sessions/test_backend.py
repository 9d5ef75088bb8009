from __future__ import annotations

from django.conf import settings

from jit.kernel import clock
from jit.workflow.ports import sessions
from sessions.recording.models import Recording
from tests.sessions import used
from tests.support.world import World


class TestCut:
    def test_has_nothing_to_wait_for_without_sessions(self, world: World) -> None:
        assert sessions().cut(grants=[world.grant()], now=clock.now()) == set()


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
