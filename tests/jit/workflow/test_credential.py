from __future__ import annotations

import psycopg
import pytest

from jit.audit.models import AuditEvent
from jit.elevation.models import Grant
from jit.kernel import crypto
from jit.policy import queries as policy
from jit.workflow import credential, revoke
from tests.jit.policy import support
from tests.support.world import READER, WRITER, World


def show(world: World, grant: Grant, name: str = "rita") -> dict[str, str]:
    shown: dict[str, str] = credential.show(
        grant_id=grant.pk, user=world.user(name), actor=world.actor(name)
    )
    return shown


class TestShow:
    def test_opens_the_target_as_the_role(self, world: World) -> None:
        shown = show(world, world.grant(role=READER))
        with world.log_in(shown) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("orders_reader",)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("DELETE FROM orders")
        assert shown["psql"].startswith("psql ")
        assert shown["password"] not in shown["psql"]

    def test_is_wiped_as_it_is_shown_and_renewed_when_asked_again(self, world: World) -> None:
        grant = world.grant()
        first = show(world, grant)
        grant.refresh_from_db()
        assert grant.credential is None
        second = show(world, grant)
        assert second["password"] != first["password"]
        with pytest.raises(psycopg.OperationalError):
            world.log_in(first)
        world.log_in(second).close()

    def test_is_on_record_each_time(self, world: World) -> None:
        grant = world.grant()
        show(world, grant)
        show(world, grant)
        events = AuditEvent.objects.filter(action="grant.credential-shown", grant_id=grant.pk)
        assert [event.content["body"]["renewed"] for event in events.order_by("seq")] == [
            False,
            True,
        ]

    @pytest.mark.parametrize("name", ["ada", "olga", "opal", "udo"])
    def test_is_for_the_requester_alone(self, world: World, name: str) -> None:
        grant = world.grant()
        with pytest.raises(credential.NotYourCredential):
            show(world, grant, name)
        grant.refresh_from_db()
        assert grant.credential is not None

    def test_is_there_only_while_active(self, world: World) -> None:
        grant = world.grant()
        world.due(grant)
        with pytest.raises(credential.CredentialNotActive):
            show(world, grant)
        revoke.revoke_due()
        with pytest.raises(credential.CredentialNotActive):
            show(world, grant)

    def test_is_sealed_at_rest_and_bound_to_its_row(self, world: World) -> None:
        grant, other = world.grant(), world.grant(role=READER)
        sealed = bytes(grant.credential or b"")
        assert b"password" not in sealed
        Grant.objects.filter(pk=other.pk).update(credential=sealed)
        with pytest.raises(crypto.SealBroken):
            show(world, other)

    def test_of_the_target_is_kept_back_once_policy_wants_a_recording(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The stricter of the ruling at submission and the policy in force counts."""
        grant = world.grant()
        more = "      record: required\n"
        strict = support.compiled(support.rule(match=f"{{role.slug: {WRITER}}}", more=more))
        monkeypatch.setattr(policy, "active_bundle", lambda: strict)
        with pytest.raises(credential.OnlyThroughGateway, match="must be recorded"):
            show(world, grant)
        grant.refresh_from_db()
        assert grant.credential_shown_at is None

    def test_of_the_target_is_kept_back_for_a_role_that_is_not_direct(self, world: World) -> None:
        grant = world.grant()
        grant.role.config["direct"] = False
        grant.role.save()
        with pytest.raises(credential.OnlyThroughGateway, match="through a gateway alone"):
            show(world, grant)
