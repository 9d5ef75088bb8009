from __future__ import annotations

import datetime as dt

import pytest

from jit.connectors.base import Unreachable
from jit.elevation import operations as elevation
from jit.elevation import provisioning, queries
from jit.elevation.models import ElevationRequest, Grant
from jit.kernel import clock
from jit.kernel.errors import Conflict, InvalidInput
from jit.workflow import extend, lapse, revoke, submit
from tests.support.world import READER, WRITER, World


def extension(world: World, grant: Grant, seconds: int = 300) -> ElevationRequest:
    request = world.ask(role=grant.role.slug, extends=grant.pk, duration_seconds=seconds)
    if request.state == "PENDING":
        world.decide("ada", request)
        request.refresh_from_db()
    return request


class TestExtend:
    def test_moves_the_end_in_the_books_and_on_the_target(self, world: World) -> None:
        grant = world.grant()
        before = grant.ends_at
        request = extension(world, grant)
        extend.extend(request_id=request.pk)
        grant.refresh_from_db()
        assert before
        assert grant.ends_at == before + dt.timedelta(seconds=300)
        with world.cluster.connect("postgres") as connection:
            until = connection.execute(
                "SELECT rolvaliduntil FROM pg_roles WHERE rolname = %s", [grant.external_name]
            ).fetchone()
        assert until == (grant.ends_at,)

    def test_applies_once_however_often_it_is_tried(self, world: World) -> None:
        grant = world.grant()
        request = extension(world, grant)
        for _ in range(3):
            extend.extend(request_id=request.pk)
        end = grant.ends_at
        grant.refresh_from_db()
        assert end
        assert grant.ends_at == end + dt.timedelta(seconds=300)

    def test_needs_a_new_decision(self, world: World) -> None:
        grant = world.grant()
        request = world.ask(extends=grant.pk)
        assert request.state == "PENDING"
        extend.extend(request_id=request.pk)
        end = grant.ends_at
        grant.refresh_from_db()
        assert grant.ends_at == end

    def test_a_target_that_is_down_leaves_the_old_end_in_force(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        grant = world.grant()
        request = extension(world, grant)

        def down(**_call: object) -> None:
            raise Unreachable("connection refused")

        with monkeypatch.context() as patch:
            patch.setattr(provisioning, "extend", down)
            extend.extend(request_id=request.pk)
        end = grant.ends_at
        grant.refresh_from_db()
        assert grant.ends_at == end
        assert queries.extensions_due() == [request.pk]
        extend.extend(request_id=request.pk)
        assert queries.extensions_due() == []

    def test_a_grant_that_ended_meanwhile_is_not_brought_back(self, world: World) -> None:
        grant = world.grant()
        request = extension(world, grant)
        world.due(grant)
        revoke.revoke_due()
        extend.extend(request_id=request.pk)
        grant.refresh_from_db()
        assert grant.state == "ENDED"
        assert queries.extensions_due() == []

    def test_a_pending_extension_of_an_ended_grant_is_withdrawn(self, world: World) -> None:
        grant = world.grant()
        request = world.ask(extends=grant.pk)
        world.due(grant)
        revoke.revoke_due()
        with pytest.raises(elevation.GrantNotActive):
            world.decide("ada", request)
        assert lapse.lapse_due() == 1
        request.refresh_from_db()
        assert request.state == "WITHDRAWN"

    def test_somebody_elses_grant_can_not_be_extended(self, world: World) -> None:
        grant = world.grant()
        with pytest.raises((InvalidInput, queries.UnknownGrant)):
            world.ask("ada", WRITER, extends=grant.pk)

    def test_only_the_same_role(self, world: World) -> None:
        grant = world.grant()
        with pytest.raises(InvalidInput, match="same role"):
            world.ask(role=READER, extends=grant.pk)

    def test_is_bounded_by_policy_like_any_request(self, world: World) -> None:
        grant = world.grant()
        with pytest.raises(submit.DurationTooLong):
            world.ask(extends=grant.pk, duration_seconds=7201)


class TestGrant:
    def test_ends_at_moves_with_no_other_verb(self, world: World) -> None:
        grant = world.grant()
        request = world.ask(extends=grant.pk)
        with pytest.raises(Conflict, match="approved extension"):
            elevation.extend_grant(
                grant=grant,
                request=request,
                ends_at=clock.now() + dt.timedelta(days=1),
                actor=world.actor("rita"),
                now=clock.now(),
            )
