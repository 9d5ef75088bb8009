from __future__ import annotations

from typing import Any

import pytest

from approvals.slack.models import SlackLink
from jit.elevation.models import ElevationRequest
from jit.workflow import revoke
from tests.approvals.slack.support import SlackWorld
from tests.standins.slack_human import buttons_of, text_of
from tests.support.world import READER, WRITER


def said(answer: Any) -> str:
    assert answer.json()["response_type"] == "ephemeral"
    return text_of(answer.json()["blocks"])


class TestRequest:
    FIELDS = {"minutes": "10", "justification": "The checkout times out."}

    def test_asks_by_a_modal_and_says_there_how_it_went(self, slack: SlackWorld) -> None:
        rita = slack.human("rita")
        assert slack.post(rita.command("request")).content == b""
        assert [block["type"] for block in rita.modal()["blocks"]] == ["input"] * 4
        answer = slack.send(
            rita.submit(role=WRITER, ticket=slack.world.tickets["sev2"], **self.FIELDS)
        ).json()
        assert answer["response_action"] == "update"
        request = ElevationRequest.objects.get()
        assert (request.channel, request.duration_seconds) == ("slack", 600)
        assert f"Asked for {WRITER}: pending" in text_of(rita.modal()["blocks"])

    def test_a_replayed_submission_asks_once(self, slack: SlackWorld) -> None:
        rita = slack.human("rita")
        slack.post(rita.command("request"))
        signed = rita.submit(role=WRITER, ticket=slack.world.tickets["sev2"], **self.FIELDS)
        first, second = slack.send(signed), slack.send(signed)
        assert first.json() == second.json()
        assert ElevationRequest.objects.count() == 1

    @pytest.mark.parametrize(
        ("field", "typed"),
        [
            ("minutes", "x"),
            ("minutes", "0"),
            ("minutes", ""),
            ("justification", "   "),
            ("ticket", " "),
            ("role", "no-such-role"),
        ],
    )
    def test_what_is_wrong_stands_beside_its_field(
        self, slack: SlackWorld, field: str, typed: str
    ) -> None:
        rita = slack.human("rita")
        slack.post(rita.command("request"))
        values = {"role": WRITER, "ticket": slack.world.tickets["sev2"], **self.FIELDS}
        answer = slack.send(rita.submit(**(values | {field: typed}))).json()
        assert list(answer["errors"]) == [field]
        assert not ElevationRequest.objects.exists()

    def test_a_refusal_is_told_in_the_modal(self, slack: SlackWorld) -> None:
        slack.link("otto")
        otto = slack.human("otto")
        slack.post(otto.command("request"))
        slack.send(otto.submit(role=WRITER, ticket=slack.world.tickets["sev2"], **self.FIELDS))
        assert "Not asked." in text_of(otto.modal()["blocks"])
        assert slack.outcome() == "NotEligible"
        assert not ElevationRequest.objects.exists()

    def test_the_role_search_finds_what_one_may_ask_for_first(self, slack: SlackWorld) -> None:
        found = slack.post(slack.human("rita").search("orders")).json()["options"]
        assert {option["value"] for option in found} >= {READER, WRITER}
        assert "not for you" not in found[0]["text"]["text"]
        assert slack.post(slack.human("otto").search("orders")).json()["options"] == []

    def test_somebody_unlinked_sees_what_to_do(self, slack: SlackWorld) -> None:
        slack.post(slack.human("otto").command("request"))
        assert "linked to nobody" in text_of(slack.human("otto").modal()["blocks"])

    def test_text_after_the_command_grants_nothing(self, slack: SlackWorld) -> None:
        slack.send(slack.human("rita").command(f"request {WRITER} 10m OPS-1"))
        assert not ElevationRequest.objects.exists()


class TestMyDoneStatus:
    def test_with_nothing(self, slack: SlackWorld) -> None:
        assert "hold nothing" in said(slack.send(slack.human("rita").command("my")))
        assert "Nothing waits" in said(slack.send(slack.human("rita").command("status")))
        assert "hold nothing" in said(slack.send(slack.human("rita").command("done")))

    def test_status_shows_what_waits_for_me(self, slack: SlackWorld) -> None:
        slack.ask()
        assert f"{WRITER} for rita" in said(slack.send(slack.human("ada").command("status")))
        assert WRITER in said(slack.send(slack.human("rita").command("my")))

    def test_done_takes_the_one_grant_back(self, slack: SlackWorld) -> None:
        grant = slack.world.grant()
        assert "until" in said(slack.send(slack.human("rita").command("my")))
        assert "minutes left" in said(slack.send(slack.human("rita").command("status")))
        assert "taken back" in said(slack.send(slack.human("rita").command("done")))
        revoke.revoke_due()
        grant.refresh_from_db()
        assert (grant.state, grant.end_reason) == ("ENDED", "returned")

    def test_done_of_a_role_one_does_not_hold(self, slack: SlackWorld) -> None:
        slack.world.grant()
        assert "of that name" in said(slack.send(slack.human("rita").command("done other")))

    @pytest.mark.parametrize("text", ["", "help", "approve everything", "\0", "<!channel>"])
    def test_anything_else_shows_help(self, slack: SlackWorld, text: str) -> None:
        assert "/jit request" in said(slack.send(slack.human("rita").command(text)))

    def test_a_foreign_workspace_is_refused(self, slack: SlackWorld) -> None:
        rita = slack.human("rita")
        rita.team = "T0FOREIGN"
        assert "own workspace" in said(slack.send(rita.command("my")))


class TestHome:
    def test_shows_what_waits_and_what_is_held(self, slack: SlackWorld) -> None:
        slack.ask()
        slack.send(slack.human("ada").opens_home())
        home = slack.human("ada").home()
        assert "1 waiting for you, 0 held" in text_of(home["blocks"])
        assert "open" in buttons_of(home["blocks"])

    def test_a_grant_is_given_back_from_it(self, slack: SlackWorld) -> None:
        grant = slack.world.grant()
        rita = slack.human("rita")
        slack.send(rita.opens_home())
        home = rita.home()
        assert "minutes left" in text_of(home["blocks"])
        slack.send(rita.press("done", home))
        grant.refresh_from_db()
        assert grant.state == "REVOKING"

    def test_opens_the_request_modal(self, slack: SlackWorld) -> None:
        rita = slack.human("rita")
        slack.send(rita.opens_home())
        slack.post(rita.press("request", rita.home()))
        assert rita.modal()["callback_id"] == "request"

    def test_of_a_stranger_shows_how_to_link(self, slack: SlackWorld) -> None:
        slack.ask()
        slack.send(slack.human("otto").opens_home())
        assert buttons_of(slack.human("otto").home()["blocks"]) == ["link"]

    def test_is_redrawn_for_those_who_opened_it(self, slack: SlackWorld) -> None:
        from approvals.slack import tasks

        slack.send(slack.human("ada").opens_home())
        slack.ask()
        tasks.home(str(slack.world.user("ada").pk))
        tasks.home(str(slack.world.user("bo").pk))
        assert "1 waiting" in text_of(slack.human("ada").home()["blocks"])
        assert len(slack.faults.calls("views.publish")) == 2
        assert SlackLink.objects.get(user__username="bo").home_seen_at is None
