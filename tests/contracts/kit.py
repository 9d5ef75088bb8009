"""The conformance kit: what every connector must do, whatever happens to it meanwhile.

A connector passes by a subclass with a `ground` fixture. `failing_checks` runs the same checks
without pytest, for connectors that are meant to fail.
"""

from __future__ import annotations

import datetime as dt
import inspect
import re
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from jit.connectors.base import (
    Ambiguous,
    Call,
    Connector,
    ConnectorError,
    Context,
    GrantSpec,
    Refused,
    Residue,
    Revoked,
    Unreachable,
)
from jit.kernel import clock
from tests.contracts.acts import assert_gone, connected, through_proxy
from tests.contracts.blockers import Blockers
from tests.contracts.crashes import Crash, CrashAt, Crashes
from tests.contracts.ground import Ground, until
from tests.contracts.proxy import Held


class ConnectorContract(Crashes, Blockers):
    """Inherit, and give a `ground`."""

    # --- What it does when all is well ------------------------------------------------

    def test_gives_until_the_end_and_takes_back_with_proof(self, ground: Ground):
        with connected(ground) as connector:
            spec = ground.spec()
            issued = connector.provision(spec)
            assert ground.names() == {spec.external_name}
            assert ground.lets_in(issued.credential)
            assert not ground.usable_beyond(spec.ends_at)
            (seen,) = connector.observe()
            assert (seen.external_name, seen.usable) == (spec.external_name, True)
            assert seen.deadline == spec.ends_at
            before = clock.now()
            (answer,) = connector.revoke([spec])
            assert isinstance(answer, Revoked)
            observed_at = dt.datetime.fromisoformat(answer.evidence["observed_at"])
            assert before - dt.timedelta(seconds=2) < observed_at
            assert ground.proves(answer.evidence)
            assert not ground.names()
            assert not ground.lets_in(issued.credential)
            assert connector.observe() == []

    def test_is_healthy(self, ground: Ground):
        with connected(ground) as connector:
            health = connector.health()
            assert health.ok, health
            assert abs(health.skew_seconds or 0) < 2
            assert [check for check in health.checks if not check.ok] == []

    def test_giving_twice_makes_one_object_and_one_living_credential(self, ground: Ground):
        with connected(ground) as connector:
            spec = ground.spec()
            first = connector.provision(spec)
            second = connector.provision(spec)
            assert ground.names() == {spec.external_name}
            assert not ground.lets_in(first.credential)
            assert ground.lets_in(second.credential)
            assert_gone(ground, connector, spec)

    def test_taking_back_twice_finds_it_absent(self, ground: Ground):
        with connected(ground) as connector:
            spec = ground.spec()
            connector.provision(spec)
            assert_gone(ground, connector, spec)
            assert_gone(ground, connector, spec)

    def test_taking_back_what_was_never_given_finds_it_absent(self, ground: Ground):
        with connected(ground) as connector:
            assert_gone(ground, connector, ground.spec())

    def test_takes_back_many_at_once(self, ground: Ground):
        with connected(ground) as connector:
            specs = [ground.spec() for _ in range(12)]
            for spec in specs[::2]:
                connector.provision(spec)
            assert len(ground.names()) == 6
            assert_gone(ground, connector, *specs)

    def test_one_that_fails_does_not_stop_the_others(self, ground: Ground):
        with connected(ground) as connector:
            specs = [ground.spec() for _ in range(3)]
            issued = [connector.provision(spec) for spec in specs]
            if not ground.can_resist:
                self._one_that_is_not_ours(ground, connector, specs)
                return
            ground.poison(specs[1].external_name)
            first, poisoned, last = connector.revoke(specs)
            assert isinstance(first, Revoked)
            assert isinstance(last, Revoked)
            assert isinstance(poisoned, Residue)
            assert poisoned.evidence["neutralised"] is True
            assert ground.names() == {specs[1].external_name}
            assert not ground.lets_in(issued[1].credential)
            (seen,) = connector.observe()
            assert not seen.usable
            ground.cure(specs[1].external_name)
            assert_gone(ground, connector, *specs)

    @staticmethod
    def _one_that_is_not_ours(ground: Ground, connector: Connector, specs: list[GrantSpec]):
        """Where nothing can be kept from being removed, one that must not be touched fails."""
        foreign = replace(specs[1], external_name="root")
        first, refused, last = connector.revoke([specs[0], foreign, specs[2]])
        assert isinstance(first, Revoked)
        assert isinstance(last, Revoked)
        assert isinstance(refused, Refused)
        assert ground.names() == {specs[1].external_name}
        assert_gone(ground, connector, *specs)

    def test_extending_moves_the_deadline_later_and_never_earlier(self, ground: Ground):
        with connected(ground) as connector:
            spec = ground.spec()
            connector.provision(spec)
            later = replace(spec, ends_at=spec.ends_at + dt.timedelta(seconds=600))
            for order in (later, later, spec):
                connector.extend(order)
                (seen,) = connector.observe()
                assert seen.deadline == later.ends_at
            assert_gone(ground, connector, spec)

    def test_every_call_is_in_the_journal_and_no_secret(self, ground: Ground):
        journal: list[Call] = []
        counter = CrashAt()
        with connected(ground, journal=journal.append, interfere=counter) as connector:
            spec = ground.spec()
            issued = connector.provision(spec)
            connector.revoke([spec])
            assert [call.step for call in journal] == counter.steps
            assert len(journal) > 2
            assert all(call.ok and len(call.step) <= 20 for call in journal)
            assert ground.secret(issued.credential) not in f"{journal} {issued}"

    # --- Connections -------------------------------------------------------------------

    def test_taking_back_cuts_what_is_open(self, ground: Ground):
        with connected(ground) as connector:
            spec = ground.spec()
            issued = connector.provision(spec)
            sessions = [ground.log_in(issued.credential) for _ in range(2)]
            assert all(session and session.works() for session in sessions)
            (seen,) = connector.observe()
            assert seen.live_connections == 2
            (answer,) = connector.revoke([spec])
            try:
                assert isinstance(answer, Revoked), answer
                assert answer.evidence["connections_cut"] == 2
                assert not any(session and session.works() for session in sessions)
            finally:
                for session in sessions:
                    if session:
                        session.close()

    def test_cutting_ends_what_is_open_and_says_how_many(self, ground: Ground):
        with connected(ground) as connector:
            spec = ground.spec()
            issued = connector.provision(spec)
            session = ground.log_in(issued.credential)
            assert session
            with closing(session):
                assert connector.cut(spec) == 1
                assert not session.works()
            assert connector.cut(spec) == 0
            assert_gone(ground, connector, spec)

    def test_two_grants_at_once_stay_apart(self, ground: Ground):
        with connected(ground) as connector:
            one, two = ground.spec(), ground.spec()
            connector.provision(one)
            kept = connector.provision(two)
            session = ground.log_in(kept.credential)
            assert session
            with closing(session):
                assert_gone(ground, connector, one)
                assert session.works()
                assert ground.lets_in(kept.credential)
                assert_gone(ground, connector, two)
                assert not session.works()

    # --- A target that is away, slow, or late ------------------------------------------

    def test_a_target_that_is_away_changes_nothing_and_says_so(self, ground: Ground):
        with through_proxy(ground, timeout_seconds=2 * ground.patience) as (connector, proxy):
            spec = ground.spec()
            proxy.close()
            with pytest.raises(Unreachable):
                connector.provision(spec)
            with pytest.raises(Unreachable):
                connector.observe()
            answers = connector.revoke([spec, ground.spec()])
            assert [type(answer) for answer in answers] == [Unreachable, Unreachable]
            assert not connector.health().ok
            assert not ground.names()

    def test_a_connection_that_died_meanwhile_is_replaced(self, ground: Ground):
        with closing(ground.proxy()) as first, connected(ground) as good:
            connector = ground.connector(Context(), port=first.port)
            with closing(connector):
                connector.observe()
                first.cut()
                spec = ground.spec()
                assert until(lambda: _no_connector_error(lambda: connector.provision(spec)))
                assert_gone(ground, good, spec)

    def test_a_slow_target_is_waited_for(self, ground: Ground):
        with through_proxy(ground, timeout_seconds=5 * ground.patience) as (connector, proxy):
            proxy.delay = 0.02
            spec = ground.spec()
            issued = connector.provision(spec)
            assert ground.lets_in(issued.credential)
            assert_gone(ground, connector, spec)

    def test_a_target_that_falls_silent_is_given_up_in_time(self, ground: Ground):
        seconds = 0.3 * ground.patience
        with through_proxy(ground, timeout_seconds=seconds) as (connector, proxy):
            spec = ground.spec()
            connector.provision(spec)
            proxy.arm(hold_at=1, held=Held.ANSWER)
            started = time.monotonic()
            with pytest.raises(ConnectorError, match=re.escape(f"no answer within {seconds:g} s")):
                connector.observe()
            assert time.monotonic() - started < 2 * ground.patience
            proxy.release()
            with connected(ground) as good:
                assert_gone(ground, good, spec)

    @pytest.mark.parametrize("held", list(Held))
    def test_what_arrives_late_does_not_come_back_to_life(self, ground: Ground, held: Held):
        with through_proxy(ground, timeout_seconds=5) as (connector, proxy):
            connector.observe()
            proxy.arm()
            spec = ground.spec()
            connector.provision(spec)
            pieces = range(1, proxy.pieces + 1)
            assert_gone(ground, connector, spec)
        # A busy machine joins pieces, so that one held back may be missing from a single try: what
        # is given without its answer is given so each time.
        lost = [any(self._arrive_late(ground, piece, held) for _ in range(3)) for piece in pieces]
        for piece in pieces:
            if not lost[piece - 1] and any(lost[piece:]):
                lost[piece - 1] = any(self._arrive_late(ground, piece, held) for _ in range(5))
        assert lost == sorted(lost, reverse=True), "something was given without its answer"
        assert all(lost) or ground.says_goodbye
        assert sum(lost) > len(pieces) // 2

    @staticmethod
    def _arrive_late(ground: Ground, piece: int, held: Held) -> bool:
        """Return whether giving failed with this piece held back."""
        lost = True
        spec = ground.spec()
        with (
            connected(ground, timeout_seconds=0.4 * ground.patience) as good,
            through_proxy(ground, timeout_seconds=0.2 * ground.patience) as (connector, proxy),
        ):
            connector.observe()
            proxy.arm(hold_at=piece, held=held)
            try:
                connector.provision(spec)
            except (Unreachable, Ambiguous):
                pass
            else:
                lost = False
            assert not ground.usable_beyond(spec.ends_at)
            (answer,) = good.revoke([spec])
            if isinstance(answer, Revoked):
                assert spec.external_name not in ground.names()
            else:  # Its transaction is still open over there; nobody can tell how it ends.
                assert not answer.permanent
            proxy.release()
            proxy.wait()  # Whatever was on its way has arrived.
            good.close()
            assert until(ground.settled)
        with connected(ground) as later:
            if isinstance(answer, Revoked):
                assert spec.external_name not in ground.names(), (piece, held)
            assert_gone(ground, later, spec)
        return lost

    def test_giving_after_taking_back_is_refused(self, ground: Ground):
        with connected(ground) as connector:
            given, never_given = ground.spec(), ground.spec()
            connector.provision(given)
            assert_gone(ground, connector, given, never_given)
            for spec in (given, never_given):
                with pytest.raises(Refused):
                    connector.provision(spec)
                with pytest.raises(Refused):
                    connector.extend(spec)
            assert not ground.names()

    # --- Drift -------------------------------------------------------------------------

    def test_what_the_books_do_not_know_is_seen_and_can_be_taken_back(self, ground: Ground):
        with connected(ground) as connector:
            connector.provision(ground.spec())
            (seen,) = connector.observe()
            known_by_sight = GrantSpec(
                grant_id="unknown",
                external_name=seen.external_name,
                principal="unknown",
                role_config={},
                ends_at=clock.now(),
            )
            assert_gone(ground, connector, known_by_sight)

    def test_what_the_target_lost_is_seen_and_not_made_again(self, ground: Ground):
        with connected(ground) as connector:
            spec = ground.spec()
            connector.provision(spec)
            ground.lose(spec.external_name)
            assert connector.observe() == []
            with pytest.raises(Refused):
                connector.extend(replace(spec, ends_at=spec.ends_at + dt.timedelta(seconds=9)))
            assert not ground.names()
            assert_gone(ground, connector, spec)

    # --- The deadline ------------------------------------------------------------------

    def test_the_target_holds_the_deadline_with_us_gone(self, ground: Ground):
        with connected(ground) as connector:
            spec = ground.spec(seconds=ground.shortest)
            issued = connector.provision(spec)
            assert ground.lets_in(issued.credential)
        assert until(lambda: not ground.lets_in(issued.credential), seconds=2.5 + ground.shortest)
        assert clock.now() >= spec.ends_at - dt.timedelta(seconds=ground.ends_early)
        assert spec.external_name in ground.names()

    def test_a_deadline_that_has_passed_gives_nothing(self, ground: Ground):
        with connected(ground) as connector:
            with pytest.raises(Refused):
                connector.provision(ground.spec(seconds=-1))
            assert not ground.names()


def _no_connector_error(call) -> bool:
    try:
        call()
    except ConnectorError:
        return False
    return True


def _checks() -> Iterator[tuple[str, dict[str, object]]]:
    for name, check in inspect.getmembers(ConnectorContract, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        marks = getattr(check, "pytestmark", [])
        values = [(m.args[0], value) for m in marks for value in m.args[1]]
        for argument, value in values:
            yield name, {argument: value}
        if not values:
            yield name, {}


def failing_checks(
    ground: Ground, *, without: Collection[str] = (), only: Collection[str] = ()
) -> set[str]:
    """Return the names of the checks that a connector fails, each on clean ground; of all but
    `without`, or of `only` those.
    """
    failed = set()
    for name, arguments in _checks():
        short = name.removeprefix("test_")
        if short in without or (only and short not in only):
            continue
        ground.reset()
        try:
            getattr(ConnectorContract(), name)(ground, **arguments)
        except (Exception, Crash, pytest.fail.Exception):  # noqa: BLE001 -- any failure is one
            failed.add(name.removeprefix("test_"))
    ground.reset()
    return failed
