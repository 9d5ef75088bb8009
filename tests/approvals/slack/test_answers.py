"""What was checked of a question to Slack is checked of its answer: whom it is about, and of
which team; a field that is missing is no yes.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from approvals.slack import client, delivery, links
from jit.identity.models import User

OURS = "T1"
MEMBER = {
    "id": "U1",
    "team_id": OURS,
    "deleted": False,
    "is_bot": False,
    "profile": {"email": "rita@demo.invalid"},
}
WRONG: dict[str, dict[str, Any] | None] = {
    "no user": None,
    "an empty user": {},
    "a deleted one": MEMBER | {"deleted": True},
    "a bot": MEMBER | {"is_bot": True},
    "a guest": MEMBER | {"is_restricted": True},
    "a stranger": MEMBER | {"is_stranger": True},
    "another team's": MEMBER | {"team_id": "T2"},
    "of no team": {name: value for name, value in MEMBER.items() if name != "team_id"},
    "of an empty team": MEMBER | {"team_id": ""},
}
BY_ID = WRONG | {"somebody else": MEMBER | {"id": "U2"}}
BY_EMAIL = WRONG | {
    "another address": MEMBER | {"profile": {"email": "otto@demo.invalid"}},
    "no address": MEMBER | {"profile": {}},
    "no id": MEMBER | {"id": ""},
}


@pytest.fixture
def slack_answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let a fake Slack answer every question about a user with this object."""

    def answers(user: Any) -> None:
        monkeypatch.setattr(client, "call", lambda _method, **_asked: {"ok": True, "user": user})
        monkeypatch.setattr(
            client,
            "web",
            lambda **_: SimpleNamespace(users_info=None, users_lookupByEmail=None),
        )
        monkeypatch.setattr(links, "installation", lambda: SimpleNamespace(team_id=OURS))

    return answers


class TestUsersInfo:
    def test_of_a_full_member_is_a_yes(self, slack_answers: Any) -> None:
        slack_answers(MEMBER)
        assert links.look_up("U1", team_id=OURS) == ""

    @pytest.mark.parametrize("wrong", BY_ID)
    def test_of_anything_else_is_none(self, slack_answers: Any, wrong: str) -> None:
        """An answer without a user, or without its team, was a full member's."""
        slack_answers(BY_ID[wrong])
        standing = "unknown"
        with contextlib.suppress(links.SlackStandingUnknown):
            standing = links.look_up("U1", team_id=OURS)
        assert standing


class TestLookupByEmail:
    def test_of_a_full_member_is_who_is_written_to(self, slack_answers: Any) -> None:
        slack_answers(MEMBER | {"profile": {"email": "Rita@Demo.invalid"}})
        assert delivery._by_email(User(username="rita", email="rita@demo.invalid")) == "U1"

    @pytest.mark.parametrize("wrong", BY_EMAIL)
    def test_of_anything_else_is_nobody(self, slack_answers: Any, wrong: str) -> None:
        slack_answers(BY_EMAIL[wrong])
        with pytest.raises((delivery.NoAddress, client.Trouble)):
            delivery._by_email(User(username="rita", email="rita@demo.invalid"))


class TestUserChange:
    @pytest.mark.parametrize("wrong", [name for name, user in WRONG.items() if user])
    def test_of_anything_but_a_full_member_is_no_yes(self, wrong: str) -> None:
        assert links.standing_of(WRONG[wrong] or {}, team_id=OURS)

    def test_is_no_yes_where_our_own_team_is_not_known(self) -> None:
        assert links.standing_of(MEMBER | {"team_id": ""}, team_id="")
