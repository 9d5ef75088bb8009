"""The part of the kit in which somebody on the target holds up what ends a grant."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from jit.connectors import evidence
from tests.contracts.acts import assert_gone, connected
from tests.contracts.ground import Ground


class Blockers:
    """What the other side can block comes after what takes its power away."""

    def test_a_blocker_on_the_target_does_not_delay_the_cut(self, ground: Ground):
        for name, hold in ground.blockers().items():
            with connected(ground) as connector:
                spec = ground.spec()
                issued = connector.provision(spec)
                session = ground.log_in(issued.credential)
                assert session, name
                with closing(session):
                    with hold(spec, issued.credential):
                        (answer,) = connector.revoke([spec])
                        assert not session.works(), f"{name}: {answer}"
                    earlier = evidence.merged({}, answer.evidence)
                    (proof,) = assert_gone(ground, connector, replace(spec, earlier=earlier))
                together = evidence.merged(earlier, proof.evidence)
                assert together["connections_cut"] >= 1, f"{name}: {answer.evidence}"
