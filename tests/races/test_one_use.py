"""What opens once, used by twenty at one instant, twenty times over: it opens once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from approvals.slack import links, payloads
from approvals.slack.models import SlackLink, SlackPayload
from jit.audit.models import AuditEvent
from jit.identity.models import TotpDevice
from jit.identity.operations import second_factors, users
from jit.kernel import clock
from sessions.gateways.postgresql import offer
from sessions.operations import tokens
from sessions.states import Door
from tests.approvals.slack.conftest import (  # noqa: F401 -- fixtures are found by their names
    between,
    emulator,
    response_url,
    slack,
    workspace,
)
from tests.approvals.slack.support import SlackWorld
from tests.races.support import in_rounds
from tests.standins.slack_emulator import TEAM
from tests.support import people
from tests.support.world import READER

ROUNDS = 20


def winners(rounds: list[list[Any]]) -> list[int]:
    """Return in how many hands each round's thing opened: a refusal or nothing is none."""
    return [
        sum(answer is not None and not isinstance(answer, Exception) for answer in answers)
        for answers in rounds
    ]


class TestOneUsePassword:
    @pytest.mark.parametrize("door", [Door.SSH, Door.WEB])
    def test_one_password_twenty_log_ins_one_session(self, world: Any, door: Door) -> None:
        grant = world.grant(role=READER)

        def fresh() -> Callable[[], Any]:
            with transaction.atomic():
                plain = tokens.issue(grant=grant, door=door, now=clock.now())
            return partial(tokens.redeem, plain=plain, door=door)

        assert winners(in_rounds(fresh)) == [1] * ROUNDS
        assert AuditEvent.objects.filter(action="session.token-used").count() == ROUNDS

    def test_one_password_twenty_proofs_one_session(self, world: Any) -> None:
        grant = world.grant(role=READER)

        def fresh() -> Callable[[], Any]:
            with transaction.atomic():
                offer.offer(grant=grant, address="127.0.0.1:1", now=clock.now())
            named = {"external_name": grant.external_name, "door": Door.POSTGRESQL}
            token = tokens.newest(**named)[0]
            return partial(tokens.redeem_proven, token=token, door=Door.POSTGRESQL)

        assert winners(in_rounds(fresh)) == [1] * ROUNDS
        assert AuditEvent.objects.filter(action="session.token-used").count() == ROUNDS

    def test_of_a_disabled_person_opens_nothing_and_stays_unused(self, world: Any) -> None:
        grant = world.grant(role=READER)
        with transaction.atomic():
            plain = tokens.issue(grant=grant, door=Door.SSH, now=clock.now())
        users.disable_user(user=grant.user, actor=world.actor("opal"), now=clock.now())
        assert tokens.redeem(plain=plain, door=Door.SSH) is None
        assert not AuditEvent.objects.filter(action="session.token-used").exists()


@pytest.mark.usefixtures("transactional_db")
class TestSecondFactor:
    def test_one_recovery_code_typed_in_twenty_windows_passes_once(self) -> None:
        rita = people.person("rita")
        people.enrolled(rita, now=clock.now())
        actor = people.acting(rita)

        def fresh() -> Callable[[], Any]:
            code = second_factors.issue_recovery_codes(user=rita, actor=actor, now=clock.now())[0]
            TotpDevice.objects.update(failures=0, failed_at=None)

            def use() -> bool:
                second_factors.verify_recovery_code(
                    user=rita, code=code, actor=actor, now=clock.now()
                )
                return True

            return use

        assert winners(in_rounds(fresh)) == [1] * ROUNDS

    def test_one_code_of_the_authenticator_passes_once(self) -> None:
        rita = people.person("rita")
        app = people.enrolled(rita, now=clock.now())
        actor = people.acting(rita)

        def fresh() -> Callable[[], Any]:
            TotpDevice.objects.update(failures=0, failed_at=None, last_step=0)
            now = clock.now()
            code = app.code(now)

            def use() -> bool:
                second_factors.verify_totp(user=rita, code=code, actor=actor, now=now)
                return True

            return use

        assert winners(in_rounds(fresh)) == [1] * ROUNDS


@pytest.mark.usefixtures("transactional_db")
class TestSlack:
    def test_one_code_confirmed_in_twenty_windows_is_one_link(
        self,
        slack: SlackWorld,  # noqa: F811
    ) -> None:
        udo = slack.world.user("udo")
        actor = people.acting(udo)
        account = slack.human("otto").id

        def fresh() -> Callable[[], Any]:
            SlackLink.objects.filter(user=udo).delete()
            now = clock.now()
            links.type_code(
                plain=links.new_code(user=udo, now=now),
                team_id=TEAM,
                slack_user_id=account,
                slack_name="udo",
                now=now,
            )
            code = links.typed_code(udo, now)
            assert code
            return partial(links.confirm, user=udo, code_id=code.pk, actor=actor, now=now)

        assert winners(in_rounds(fresh, rounds=5)) == [1] * 5

    def test_one_queued_click_is_claimed_once(self) -> None:
        def fresh() -> Callable[[], Any]:
            row = SlackPayload.objects.create(
                digest=f"{SlackPayload.objects.count():064d}",
                kind="test",
                queued=True,
                received_at=clock.now(),
            )
            return partial(payloads.claim, row.pk)

        assert winners(in_rounds(fresh)) == [1] * ROUNDS
