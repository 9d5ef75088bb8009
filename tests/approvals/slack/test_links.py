from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client

from approvals.slack import links
from approvals.slack.models import SlackLink, SlackLinkCode
from jit.audit.models import AuditEvent
from jit.kernel import clock
from tests.approvals.slack.support import SlackWorld
from tests.standins.slack_human import buttons_of, text_of
from tests.support import people


@pytest.fixture
def otto(slack: SlackWorld) -> Client:
    return people.signed_in(Client(), slack.world.user("otto"))


def code_on(page: Any) -> str:
    found = re.search(r"/jit link ([A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4})", page.content.decode())
    assert found, page.content.decode()[-3000:]
    return found[1]


class TestLinking:
    def make(self, slack: SlackWorld, browser: Client) -> str:
        return code_on(browser.post("/account/slack/code/"))

    def test_takes_a_code_typed_in_slack_and_a_yes_on_the_web(
        self, slack: SlackWorld, otto: Client
    ) -> None:
        code = self.make(slack, otto)
        answer = slack.send(slack.human("otto").command(f"link {code}")).json()
        assert "confirm that this is you" in text_of(answer["blocks"])
        assert not SlackLink.objects.filter(user__username="otto").exists()
        page = otto.get("/account/slack/")
        assert slack.human("otto").id in page.content.decode()
        otto.post("/account/slack/confirm/", {"code_id": str(SlackLinkCode.objects.get().pk)})
        link = SlackLink.objects.get(user__username="otto")
        assert link.slack_user_id == slack.human("otto").id
        assert AuditEvent.objects.filter(action="slack.linked", actor_name="otto").count() == 1

    def test_a_code_works_once(self, slack: SlackWorld, otto: Client) -> None:
        code = self.make(slack, otto)
        slack.send(slack.human("otto").command(f"link {code}"))
        form = {"code_id": str(SlackLinkCode.objects.get().pk)}
        otto.post("/account/slack/confirm/", form)
        SlackLink.objects.filter(user__username="otto").delete()
        assert otto.post("/account/slack/confirm/", form).status_code == 422
        answer = slack.send(slack.human("otto").command(f"link {code}")).json()
        assert "unknown, used or too old" in text_of(answer["blocks"])

    def test_a_code_is_for_ten_minutes(self, slack: SlackWorld, otto: Client) -> None:
        code = self.make(slack, otto)
        SlackLinkCode.objects.update(expires_at=clock.now() - dt.timedelta(seconds=1))
        answer = slack.send(slack.human("otto").command(f"link {code}")).json()
        assert "too old" in text_of(answer["blocks"])

    def test_a_code_is_kept_as_a_digest_only(self, slack: SlackWorld, otto: Client) -> None:
        code = self.make(slack, otto)
        assert code not in str(SlackLinkCode.objects.values())

    def test_a_slack_account_that_is_linked_is_linked_to_nobody_else(
        self, slack: SlackWorld, otto: Client
    ) -> None:
        code = self.make(slack, otto)
        answer = slack.send(slack.human("ada").command(f"link {code}")).json()
        assert "linked already" in text_of(answer["blocks"])
        assert SlackLink.objects.get(slack_user_id=slack.human("ada").id).user.username == "ada"

    def test_an_account_of_ours_has_one_slack_account(self, slack: SlackWorld) -> None:
        ada = slack.world.user("ada")
        now = clock.now()
        code = links.new_code(user=ada, now=now)
        links.type_code(
            plain=code,
            team_id="T000000001",
            slack_user_id=slack.human("gus").id,
            slack_name="gus",
            now=now,
        )
        with pytest.raises(links.LinkedAlready):
            links.confirm(
                user=ada,
                code_id=SlackLinkCode.objects.get().pk,
                actor=people.acting(ada),
                now=now,
            )
        assert SlackLink.objects.get(user=ada).slack_user_id == slack.human("ada").id

    def test_somebody_elses_typing_binds_nobody_without_the_persons_yes(
        self, slack: SlackWorld, otto: Client
    ) -> None:
        """A code that leaks lets a stranger type it; the person sees whose account it was."""
        code = self.make(slack, otto)
        slack.send(slack.human("gus").command(f"link {code}"))
        assert slack.human("gus").id in otto.get("/account/slack/").content.decode()
        assert not SlackLink.objects.filter(user__username="otto").exists()
        answer = slack.send(slack.human("otto").command(f"link {code}")).json()
        assert "unknown" in text_of(answer["blocks"])

    def test_one_persons_code_is_confirmed_by_nobody_else(
        self, slack: SlackWorld, otto: Client
    ) -> None:
        code = self.make(slack, otto)
        slack.send(slack.human("otto").command(f"link {code}"))
        udo = people.signed_in(Client(), slack.world.user("udo"))
        form = {"code_id": str(SlackLinkCode.objects.get().pk)}
        assert udo.post("/account/slack/confirm/", form).status_code == 422
        assert not SlackLink.objects.filter(user__username__in=["udo", "otto"]).exists()

    def test_wants_a_fresh_second_factor(self, slack: SlackWorld) -> None:
        old = people.signed_in(
            Client(), slack.world.user("otto"), at=clock.now() - dt.timedelta(minutes=11)
        )
        page = old.post("/account/slack/code/")
        assert page.status_code == 403
        assert not SlackLinkCode.objects.exists()

    def test_a_guest_is_not_linked(self, slack: SlackWorld, otto: Client) -> None:
        code = self.make(slack, otto)
        slack.send(slack.human("otto").command(f"link {code}"))
        slack.faults.profiles[slack.human("otto").id] = {"is_restricted": True}
        form = {"code_id": str(SlackLinkCode.objects.get().pk)}
        assert otto.post("/account/slack/confirm/", form).status_code == 403
        assert not SlackLink.objects.filter(user__username="otto").exists()

    def test_an_email_address_makes_nobody_an_approver(self, slack: SlackWorld) -> None:
        """The addresses of bo agree here and there; without a link a click counts for nobody."""
        SlackLink.objects.filter(user__username="bo").delete()
        request = slack.ask()
        slack.send(slack.human("bo").press("approve", slack.human("ada").message()))
        assert slack.state(request) == "PENDING"
        assert slack.outcome() == "SlackNotLinked"


class TestUnlinking:
    def test_takes_the_buttons_away_and_refuses_the_click(self, slack: SlackWorld) -> None:
        request = slack.ask()
        message = slack.human("ada").message()
        browser = people.signed_in(Client(), slack.world.user("ada"))
        browser.post("/account/slack/unlink/")
        slack.settle()
        assert buttons_of(slack.human("ada").message()["blocks"]) == ["open", "link"]
        slack.send(slack.human("ada").press("approve", message))
        assert slack.state(request) == "PENDING"
        assert slack.outcome() == "SlackNotLinked"
        assert AuditEvent.objects.filter(action="slack.unlinked").count() == 1


class TestThePage:
    def test_says_so_where_slack_is_off(self, world: Any) -> None:
        page = people.signed_in(Client(), world.user("otto")).get("/account/slack/")
        assert b"not set up here" in page.content

    def test_notices_by_itself_that_the_code_was_typed(
        self, slack: SlackWorld, otto: Client
    ) -> None:
        looked = "/account/slack/typed/"
        assert b"too old" in otto.get(looked).content
        code = otto.post("/account/slack/code/").context["code"]
        waiting = otto.get(looked).content
        assert b'hx-trigger="every' in waiting
        assert code.encode() not in waiting
        slack.send(slack.human("otto").command(f"link {code}"))
        asks = otto.get(looked).content
        assert b"Is this you?" in asks
        assert b'hx-trigger="every' not in asks

    def test_a_get_links_nothing(self, slack: SlackWorld, otto: Client) -> None:
        for path in ("code", "confirm", "unlink"):
            assert otto.get(f"/account/slack/{path}/").status_code == 405
