"""The part of the kit that lets whoever gives or takes back die at every call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from jit.connectors import evidence
from jit.connectors.base import Connector, Evidence, Moment
from tests.contracts.acts import assert_gone, connected
from tests.contracts.ground import Ground


class Crash(BaseException):
    """The process is gone: no handler of the connector may make anything of it."""


class CrashAt:
    """Crashes before or after the n-th call through the door; counts the calls otherwise."""

    def __init__(self, number: int = 0, moment: Moment = Moment.BEFORE) -> None:
        self.number, self.moment = number, moment
        self.steps: list[str] = []

    def __call__(self, step: str, moment: Moment) -> None:
        if moment is Moment.BEFORE:
            self.steps.append(step)
        if len(self.steps) == self.number and moment is self.moment:
            raise Crash(f"{moment} call {self.number} ({step})")


def crash_points(calls: int) -> Iterator[CrashAt]:
    for number in range(1, calls + 1):
        for moment in Moment:
            yield CrashAt(number, moment)


class Crashes:
    """Whatever was begun is finished by the next attempt, which knows what was seen before it."""

    @pytest.mark.parametrize("then", ["retry", "revoke"])
    def test_survives_a_crash_at_any_call_of_giving(self, ground: Ground, then: str):
        counter = CrashAt()
        with connected(ground, interfere=counter) as connector, connected(ground) as restarted:
            spec = ground.spec()
            connector.provision(spec)
            assert_gone(ground, restarted, spec)
            for point in crash_points(len(counter.steps)):
                self._crash_while_giving(ground, restarted, point, then)

    @staticmethod
    def _crash_while_giving(
        ground: Ground, restarted: Connector, point: CrashAt, then: str
    ) -> None:
        spec = ground.spec()
        with connected(ground, interfere=point) as dying, pytest.raises(Crash):
            dying.provision(spec)
        assert not ground.usable_beyond(spec.ends_at), point.steps
        assert ground.names() <= {spec.external_name}, point.steps
        if then == "retry":
            issued = restarted.provision(spec)
            assert ground.names() == {spec.external_name}
            assert ground.lets_in(issued.credential)
            assert not ground.usable_beyond(spec.ends_at)
        assert_gone(ground, restarted, spec)
        assert not ground.names(), point.steps

    def test_survives_a_crash_at_any_call_of_taking_back(self, ground: Ground):
        counter = CrashAt()
        with connected(ground, interfere=counter) as connector, connected(ground) as restarted:
            spec = ground.spec()
            session = ground.log_in(restarted.provision(spec).credential)
            assert session
            with closing(session):
                connector.revoke([spec])
            for point in crash_points(len(counter.steps)):
                self._crash_while_taking_back(ground, restarted, point)

    @staticmethod
    def _crash_while_taking_back(ground: Ground, restarted: Connector, point: CrashAt) -> None:
        spec = ground.spec()
        issued = restarted.provision(spec)
        session = ground.log_in(issued.credential)
        assert session
        kept: dict[str, Evidence] = {}
        with closing(session):
            with connected(ground, interfere=point, keep=kept.update) as dying:
                try:
                    dying.revoke([spec])
                except Crash:
                    pass
                else:
                    # Waiting for the cut may take a call less than it did when counted.
                    assert len(point.steps) < point.number
            assert not ground.usable_beyond(spec.ends_at), point.steps
            known = evidence.settled(evidence.with_unfinished({}, kept.get(spec.external_name, {})))
            (answer,) = assert_gone(ground, restarted, replace(spec, earlier=known))
            assert not session.works(), point.steps
            if (point.moment, point.steps[-1]) != (Moment.AFTER, ground.cuts_before_it_tells):
                told = evidence.merged(known, answer.evidence)
                assert told["connections_cut"] == 1, point.steps
            assert not ground.lets_in(issued.credential)
