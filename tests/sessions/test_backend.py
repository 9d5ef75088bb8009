from __future__ import annotations

from jit.kernel import clock
from jit.workflow.ports import sessions
from tests.support.world import World


class TestCut:
    def test_has_nothing_to_cut_while_there_are_no_gateways(self, world: World) -> None:
        assert sessions().cut(grants=[world.grant()], reason="revoked", now=clock.now()) == 0
