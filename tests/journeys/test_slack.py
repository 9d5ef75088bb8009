"""The main job with its approval made by a click in Slack, by real processes on both sides."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from jit.ops.embedded import demo_slack, slack_people
from tests.approvals.slack.conftest import (  # noqa: F401 -- fixtures are found by their names
    between,
    emulator,
    response_url,
)
from tests.standins.slack_emulator import APP, BOT_TOKEN, HUMAN_TOKEN, TEAM, Emulator
from tests.standins.slack_faults import Faults
from tests.standins.slack_human import ResponseUrl, Signed, Workspace, buttons_of, text_of
from tests.support import installed
from tests.support.processes import Running, until

SECRET = "the-signing-secret-of-the-journey"


@pytest.fixture(scope="module")
def workspace(
    emulator: Emulator,  # noqa: F811
    between: Faults,  # noqa: F811
    response_url: ResponseUrl,  # noqa: F811
) -> Workspace:
    between.forget()
    return Workspace(
        emulator=emulator,
        faults=between,
        secret=SECRET,
        replies=response_url,
        began=emulator.mark(),
    )


@pytest.fixture(autouse=True)
def _fresh(workspace: Workspace) -> None:
    """Each test sees the messages of its own time only."""
    workspace.began = workspace.emulator.mark()


@pytest.fixture(scope="module")
def jit(workspace: Workspace) -> Iterator[Running]:
    ours = installed.shared(
        JIT_SLACK_BOT_TOKEN=BOT_TOKEN,
        JIT_SLACK_SIGNING_SECRET=SECRET,
        JIT_SLACK_API_URL=workspace.faults.url,
        JIT_SLACK_RESPONSE_HOSTS="127.0.0.1",
    )
    for running in ours:
        for name in ("rita", "ada"):
            running.rows(
                "INSERT INTO approvals_slacklink"
                " (id, user_id, team_id, slack_user_id, slack_name, linked_at, standing)"
                " SELECT %s, id, %s, %s, username, now(), '' FROM identity_user"
                " WHERE username = %s RETURNING id",
                uuid.uuid4(),
                TEAM,
                workspace.emulator.users[name],
                name,
            )
        yield running


def post(jit: Running, signed: Signed) -> Any:
    return requests.post(
        jit.url + signed.path, data=signed.body, headers=signed.headers, timeout=10
    )


class TestTheDemo:
    def test_shows_a_newcomer_a_messages_button_and_presses_it(
        self,
        jit: Running,
        workspace: Workspace,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        notes = {
            "app": jit.url,
            "slack": workspace.emulator.url,
            "token": HUMAN_TOKEN,
            "secret": SECRET,
            "team": TEAM,
            "app_id": APP,
            "people": ["rita", "ada"],
        }
        (tmp_path / demo_slack.NOTES).write_text(json.dumps(notes))
        monkeypatch.setenv("JIT_DATA", str(tmp_path))
        request_id = jit.rita.ask().json()["id"]
        until(workspace.human("ada").messages)
        assert slack_people.main("ada", "") == 0
        assert "[Approve for 10 min: approve]" in capsys.readouterr().out
        assert slack_people.main("ada", "approve") == 0
        grant = until(lambda: jit.rita.request(request_id)["grant"])
        jit.wait(grant["id"], "ACTIVE")
        until(workspace.human("rita").messages)  # Slack is told a moment after the target.
        until(lambda: buttons_of(workspace.human("rita").messages()[0]["blocks"]).count("done"))
        assert slack_people.main("rita", "done") == 0
        jit.wait(grant["id"], "ENDED")
        assert slack_people.main("ada", "deny") == 1
        assert "do the rest on the web" in capsys.readouterr().err


class TestAClick:
    def test_gives_the_privilege_and_another_gives_it_back(
        self, jit: Running, workspace: Workspace
    ) -> None:
        ada, rita = workspace.human("ada"), workspace.human("rita")
        asked = jit.rita.ask()
        assert asked.status_code == 201, asked.text
        request_id = asked.json()["id"]
        message = until(ada.messages)[0]
        assert "approve" in buttons_of(message["blocks"])

        assert post(jit, ada.press("approve", message)).status_code == 200
        approved = until(
            lambda: jit.rita.request(request_id), lambda found: found["state"] == "APPROVED"
        )
        grant_id = approved["grant"]["id"]
        jit.wait(grant_id, "ACTIVE")
        with jit.log_in(jit.credential(grant_id)) as connection:
            connection.execute("SELECT count(*) FROM orders")

        until(rita.messages)  # Slack is told a moment after the target.
        shown = until(rita.message, lambda found: "done" in buttons_of(found["blocks"]))
        assert "Active until" in text_of(shown["blocks"])
        told = until(rita.thread, lambda found: len(found) > 1)
        assert told[0].startswith("ada approved your request"), told
        assert "is active until" in told[1], told
        assert post(jit, rita.press("done", shown)).status_code == 200
        ended = jit.wait(grant_id, "ENDED")
        assert ended["end_reason"] == "returned"
        for human in (ada, rita):
            final = until(
                lambda human=human: human.message(),
                lambda found: "Ended it was returned" in text_of(found["blocks"]),
            )
            assert buttons_of(final["blocks"]) == ["open", "recording-1"]
        told = until(rita.thread, lambda found: len(found) > 2)
        assert "has ended" in told[2], told
        said = jit.rows(
            "SELECT channel, second_factor FROM approvals_decision d"
            " JOIN approvals_step s ON s.id = d.step_id"
            " JOIN approvals_chain c ON c.id = s.chain_id WHERE c.request_id = %s",
            uuid.UUID(request_id),
        )
        assert said == [("slack", False)]
        jit.everything_is_in_order()
