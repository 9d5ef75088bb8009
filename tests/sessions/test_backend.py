from __future__ import annotations

from jit.kernel import clock
from jit.workflow.ports import sessions
from tests.support.world import World


class TestCut:
    def test_has_nothing_to_wait_for_without_sessions(self, world: World) -> None:
        assert sessions().cut(grants=[world.grant()], now=clock.now()) == set()


class TestOffer:
    def test_leaves_the_target_itself_where_no_gateway_is_set_up(self, world: World) -> None:
        assert sessions().offer(grant=world.grant(), now=clock.now()) is None
