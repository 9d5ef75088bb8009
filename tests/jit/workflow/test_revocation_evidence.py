"""What any attempt at a revocation saw and did is in its proof, in the log, and meanwhile shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import sql

from jit.audit.models import AuditEvent
from jit.connectors.base import Ambiguous, ConnectorError, Residue, Revoked, Unreachable
from jit.connectors.postgresql.wire import Busy
from jit.elevation import provisioning
from jit.elevation.models import Grant
from jit.kernel import clock
from jit.ops.demo import target
from jit.workflow import credential, revoke
from jit.workflow.ports import sessions
from tests.support.world import World


def events(grant: Grant, action: str) -> list[dict[str, Any]]:
    rows = AuditEvent.objects.filter(action=action, grant_id=grant.pk).order_by("seq")
    return [row.content["body"] for row in rows]


def again(grant: Grant) -> Grant:
    Grant.objects.filter(pk=grant.pk).update(next_try_at=clock.now())
    revoke.revoke_due()
    grant.refresh_from_db()
    return grant


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Revoked | ConnectorError]:
    """Return the list of what the target answers from now on, the next one first."""
    waiting: list[Revoked | ConnectorError] = []

    def revoke_them(*, grants: Sequence[Grant], **_more: Any) -> list[Revoked | ConnectorError]:
        answer = waiting.pop(0)
        return [answer for _ in grants]

    monkeypatch.setattr(provisioning, "revoke", revoke_them)
    return waiting


class TestFinish:
    @pytest.mark.parametrize("kind", [Residue, Busy, Ambiguous, Unreachable])
    def test_what_an_unfinished_attempt_saw_is_in_the_final_proof(
        self, world: World, answers: list[Any], kind: type[ConnectorError]
    ) -> None:
        grant = world.grant()
        world.due(grant)
        answers.append(kind("held up", evidence={"suspicious": ["f1"], "connections_cut": 2}))
        revoke.revoke_due()
        grant.refresh_from_db()
        assert grant.evidence == {"suspicious": ["f1"], "connections_cut": 2}
        answers.append(Revoked(absent=True, evidence={"suspicious": [], "connections_cut": 1}))
        grant = again(grant)
        assert grant.state == "ENDED"
        assert grant.evidence == {"suspicious": ["f1"], "connections_cut": 3}
        (ended,) = events(grant, "grant.ended")
        assert ended["evidence"] == grant.evidence

    def test_the_log_has_the_evidence_of_each_attempt_that_found_something_new(
        self, world: World, answers: list[Any]
    ) -> None:
        grant = world.grant()
        world.due(grant)
        for found in (["a"], ["a"], ["a", "b"]):
            seen = {"dependents": found, "observed_at": str(clock.now())}
            answers.append(Residue("something is left", evidence=seen))
            grant = again(grant) if grant.tries else grant
            if not grant.tries:
                revoke.revoke_due()
                grant.refresh_from_db()
        told = [event["evidence"]["dependents"] for event in events(grant, "grant.attempt-failed")]
        assert told == [["a"], ["a", "b"]]

    def test_an_open_access_session_takes_no_evidence_away(
        self, world: World, answers: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        grant = world.grant()
        world.due(grant)
        answers.append(Revoked(absent=True, evidence={"suspicious": ["f1"]}))
        monkeypatch.setattr(type(sessions()), "cut", lambda _self, **_more: {grant.pk})
        revoke.revoke_due()
        grant.refresh_from_db()
        assert grant.state == "REVOKING"
        assert grant.evidence == {"suspicious": ["f1"]}


class TestKeeper:
    def test_is_heard_only_while_the_grant_is_in_this_workers_hands(self, world: World) -> None:
        grant = world.grant()
        world.due(grant)
        (claimed,) = revoke._claim([grant.pk])
        keep = provisioning._keeper([claimed])
        keep({claimed.external_name: {"reassigned": ["t1"]}, "jit_strange": {}})
        grant.refresh_from_db()
        assert grant.evidence == {"unfinished_attempt": {"reassigned": ["t1"]}}
        Grant.objects.filter(pk=grant.pk).update(lease_until=clock.now())
        keep({claimed.external_name: {"reassigned": ["late"]}})
        grant.refresh_from_db()
        assert grant.evidence == {"unfinished_attempt": {"reassigned": ["t1"]}}


@pytest.fixture
def root(world: World) -> Iterator[psycopg.Connection[Any]]:
    """The target's superuser, in a database with a schema where everybody may make things."""
    with closing(world.cluster.connect(target.DATABASE)) as connection:
        connection.autocommit = True
        connection.execute("CREATE SCHEMA side; GRANT ALL ON SCHEMA side TO PUBLIC")
        connection.execute("CREATE TABLE side.adm (a int)")
        yield connection
        connection.execute("DROP SCHEMA side CASCADE")


class TestResidue:
    def test_what_the_first_attempt_handed_over_is_in_the_proof_of_the_last(
        self, world: World, root: psycopg.Connection[Any]
    ) -> None:
        """A DBA's own grant to the role keeps it from being dropped until they take it back."""
        grant = world.grant()
        shown = credential.show(
            grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita")
        )
        with closing(world.log_in(shown)) as person:
            person.execute("SET ROLE NONE")
            person.execute("CREATE TABLE side.t1 (a int)")
            person.execute(
                "CREATE FUNCTION side.f1() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
            )
            name = sql.Identifier(grant.external_name)
            root.execute(sql.SQL("GRANT SELECT ON side.adm TO {}").format(name))
            world.due(grant)
            revoke.revoke_due()
        grant.refresh_from_db()
        assert grant.state == "REVOKING"
        assert any("side.adm" in each for each in grant.evidence["dependents"])
        assert grant.evidence["neutralised"] is True
        assert grant.evidence["reassigned"] == [
            "function side.f1() in orders",
            "table side.t1 in orders",
        ]
        (failed,) = events(grant, "grant.attempt-failed")
        assert failed["evidence"] == grant.evidence
        detail = world.api("rita").get(f"grants/{grant.pk}/").json()
        assert detail["evidence"] == grant.evidence
        root.execute(sql.SQL("REVOKE SELECT ON side.adm FROM {}").format(name))
        grant = again(grant)
        assert grant.state == "ENDED"
        assert any("side.f1" in each for each in grant.evidence["suspicious"])
        assert "function side.f1() in orders" in grant.evidence["reassigned"]
        assert grant.evidence["connections_cut"] == 1
        assert grant.evidence["memberships_removed"] == ["orders_writer"]
        assert grant.evidence["was_there"] is True
