"""The worker is killed between any two steps; afterwards books and target agree."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.chaos.conftest import Doomed
from tests.journeys.test_elevation import is_cut
from tests.support.processes import WRITER, Running, until

LONG = 600


def approved(jit: Running, seconds: int) -> str:
    """Return the id of a grant that was just approved."""
    request_id = jit.rita.ask(WRITER, duration_seconds=seconds).json()["id"]
    grant_id: str = jit.ada.decide(request_id).json()["grant"]["id"]
    return grant_id


def die_in_provisioning(doomed: Doomed, number: int) -> bool:
    """Kill at this moment of a provisioning; return False once there is no such moment."""
    jit = doomed.jit
    doomed.die_at("provision", number)
    grant_id = approved(jit, LONG)
    until(
        lambda: not jit.is_running("doomed") or jit.rita.grant(grant_id)["state"] == "ACTIVE",
        seconds=60,
    )
    died = not jit.is_running("doomed")
    jit.everything_is_in_order()
    if died:
        jit.start("doomed")
        jit.wait(grant_id, "ACTIVE", seconds=90)
    else:
        assert doomed.was_spared()
    name = f"jit_{grant_id.replace('-', '')}"
    assert jit.roles() == {name}
    jit.log_in(jit.credential(grant_id)).close()
    jit.give_back(grant_id)
    assert jit.roles() == set()
    jit.everything_is_in_order()
    return died


def die_in_revoking(doomed: Doomed, number: int) -> bool:
    """Kill at this moment of a revocation; return False once there is no such moment."""
    jit = doomed.jit
    grant_id = approved(jit, LONG)
    jit.wait(grant_id, "ACTIVE", seconds=90)
    connection = jit.log_in(jit.credential(grant_id))
    doomed.die_at("revoke", number)
    assert jit.rita.post(f"grants/{grant_id}/return/").status_code == 200
    until(
        lambda: not jit.is_running("doomed") or jit.rita.grant(grant_id)["state"] == "ENDED",
        seconds=60,
    )
    died = not jit.is_running("doomed")
    jit.everything_is_in_order()
    if died:
        assert jit.rita.grant(grant_id)["state"] == "REVOKING"
        jit.start("doomed")
    else:
        assert doomed.was_spared()
    ended = jit.wait(grant_id, "ENDED", seconds=90)
    assert ended["evidence"]["roles_found"] == 0
    assert is_cut(connection)
    assert jit.roles() == set()
    jit.everything_is_in_order()
    return died


class TestKilled:
    """A small selection, for every run of the tests."""

    def test_before_the_roles_commit_is_finished_by_the_next(self, doomed: Doomed) -> None:
        assert die_in_provisioning(doomed, 3)

    def test_between_shutting_out_and_cutting_is_finished_by_the_next(self, doomed: Doomed) -> None:
        assert die_in_revoking(doomed, 7)


class TestKilledWithEvidence:
    """What a step takes from sight was committed before it: the next attempt proves the whole."""

    def test_after_dropping_a_quiet_role_still_tells_what_it_was_and_looks_for_traces(
        self, doomed: Doomed
    ) -> None:
        grant_id = approved(doomed.jit, LONG)
        doomed.jit.wait(grant_id, "ACTIVE", seconds=90)
        evidence = die_in_ending(doomed, grant_id, "after remove")
        assert evidence["was_there"] is True
        assert evidence["memberships_removed"] == ["orders_writer"]
        assert evidence["looked_in"] == ["orders"]

    def test_between_handing_over_and_dropping_forgets_what_was_cut_before(
        self, doomed: Doomed
    ) -> None:
        jit = doomed.jit
        grant_id = approved(jit, LONG)
        jit.wait(grant_id, "ACTIVE", seconds=90)
        # It comes through the gateway, which cuts it: as a rule before the connector looks.
        connection = jit.log_in(jit.credential(grant_id))
        connection.execute("SET ROLE NONE")
        connection.execute("SELECT lo_create(0)")
        evidence = die_in_ending(doomed, grant_id, "after release owned")
        assert is_cut(connection)
        gateways = evidence["gateways"]
        assert gateways["sessions_cut"] == 1
        assert gateways["connections_cut"] + evidence["connections_cut"] >= 1
        (large,) = evidence["handed_over"]
        assert large.startswith("large object ")


def die_in_ending(doomed: Doomed, grant_id: str, moment: str) -> dict[str, Any]:
    """Return a grant, kill its revocation at this moment, and return the proof of the next."""
    jit = doomed.jit
    doomed.die_at("revoke", moment)
    assert jit.rita.post(f"grants/{grant_id}/return/").status_code == 200
    until(lambda: not jit.is_running("doomed"), seconds=60)
    left = jit.rita.grant(grant_id)
    assert left["state"] == "REVOKING"
    assert left["evidence"]["unfinished_attempt"]
    jit.start("doomed")
    evidence: dict[str, Any] = jit.wait(grant_id, "ENDED", seconds=90)["evidence"]
    assert "unfinished_attempt" not in evidence
    jit.everything_is_in_order()
    return evidence


@pytest.mark.chaos
class TestKilledAnywhere:
    """At every moment there is; `make chaos`."""

    def test_in_provisioning(self, doomed: Doomed) -> None:
        number = 0
        while die_in_provisioning(doomed, number := number + 1):
            assert number < 60
        assert number > 4, "so few moments can't be all of them"

    def test_in_revoking(self, doomed: Doomed) -> None:
        number = 0
        while die_in_revoking(doomed, number := number + 1):
            assert number < 60
        assert number > 8, "so few moments can't be all of them"

    def test_at_random_instants(self, doomed: Doomed) -> None:
        jit, dice = doomed.jit, random.Random(2)
        for _ in range(20):
            grant_id = approved(jit, 10)
            pause = dice.uniform(0, 1.5)
            until(_after(pause), seconds=30)
            jit.kill("doomed")
            jit.everything_is_in_order()
            jit.start("doomed")
            until(
                lambda: jit.rita.grant(grant_id)["state"],  # noqa: B023 -- asked at once
                lambda state: state == "ENDED",
                seconds=120,
            )
            assert jit.roles() == set()
            jit.everything_is_in_order()


def _after(seconds: float):
    import time

    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end
