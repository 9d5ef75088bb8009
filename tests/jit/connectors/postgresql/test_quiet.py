"""The short way out, and what turns up on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from jit.connectors.base import Context, GrantSpec, Moment, Residue, Revoked
from tests.contracts.postgresql import PostgreSQLGround


def revoke(
    ground: PostgreSQLGround,
    specs: list[GrantSpec],
    *,
    meanwhile: Callable[[], object] = lambda: None,
):
    """Revoke them; `meanwhile` happens once they were looked at, before they are dropped."""

    def interfere(step: str, moment: Moment) -> None:
        if (step, moment) == ("remove", Moment.BEFORE):
            meanwhile()

    with closing(ground.connector(Context(interfere=interfere))) as connector:
        return connector.revoke(specs)


def given(ground: PostgreSQLGround):
    with closing(ground.connector()) as connector:
        spec = ground.spec()
        return spec, connector.provision(spec).credential


class TestRemove:
    def test_drops_at_once_what_nobody_uses(self, ground18):
        spec, _ = given(ground18)
        (answer,) = revoke(ground18, [spec])
        assert isinstance(answer, Revoked)
        assert answer.absent
        assert answer.evidence["removed_at_once"] is True
        assert "neutralised" not in answer.evidence
        assert answer.evidence["memberships_removed"] == ["app_rw"]
        assert not ground18.names()
        buried = ground18.root.execute("SELECT name FROM jit.tombstone").fetchall()
        assert buried == [(spec.external_name,)]

    def test_leaves_whom_somebody_is_connected_as_to_the_long_way(self, ground18):
        (spec, credential), (other, _) = given(ground18), given(ground18)
        with closing(ground18.log_in(credential)) as session:
            used, unused = revoke(ground18, [spec, other])
            assert not session.works()
        assert used.evidence["neutralised"] is True
        assert used.evidence["connections_cut"] == 1
        assert unused.evidence["removed_at_once"] is True
        assert not ground18.names()

    def test_a_log_in_that_slips_in_is_cut(self, ground18):
        spec, credential = given(ground18)
        sessions = []
        (answer,) = revoke(
            ground18, [spec], meanwhile=lambda: sessions.append(ground18.log_in(credential))
        )
        with closing(sessions[0]) as session:
            assert not session.works()
        assert answer.evidence["removed_at_once"] is True
        assert answer.evidence["connections_cut"] == 1
        assert answer.evidence["connections_found"] == 0

    def test_one_that_can_not_be_dropped_after_all_stops_no_other(self, ground18):
        (spec, _), (other, _) = given(ground18), given(ground18)
        poisoned, clean = revoke(
            ground18, [spec, other], meanwhile=lambda: ground18.poison(spec.external_name)
        )
        assert isinstance(poisoned, Residue)
        assert poisoned.evidence["neutralised"] is True
        assert isinstance(clean, Revoked)
        assert ground18.names() == {spec.external_name}

    def test_what_is_not_there_is_never_given_later(self, ground18):
        spec = ground18.spec()
        (answer,) = revoke(ground18, [spec])
        assert isinstance(answer, Revoked)
        assert answer.evidence["was_there"] is False
        buried = ground18.root.execute("SELECT name FROM jit.tombstone").fetchall()
        assert buried == [(spec.external_name,)]
