from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.models.blocks import Block

from approvals.slack import blocks as b
from approvals.slack import limits, modals
from approvals.slack.text import literal
from tests.approvals.slack.support import SlackWorld
from tests.standins import slack_emulator
from tests.standins.slack_human import text_of
from tests.support.standing_in import lent

HOSTILE = (
    "*bold* <!channel> <!here> <@U15A154EC8> <https://evil.example|https://jit.example/r/AR-17> "
    "&lt;!channel&gt; `x` :tada: \u202egnp.exe\u202c zero\u200bwidth \u2066x\u2069 \ufeff"
)


def every(part: Any) -> list[dict[str, Any]]:
    """Return every object in the blocks, however deep."""
    if isinstance(part, list):
        return [found for one in part for found in every(one)]
    if isinstance(part, dict):
        return [part, *(found for one in part.values() for found in every(one))]
    return []


class TestDraw:
    def test_hostile_words_are_words(self, slack: SlackWorld) -> None:
        slack.ask(justification=HOSTILE)
        message = slack.human("ada").message()
        parts = every(message["blocks"])
        assert not [part for part in parts if part.get("type") == "mrkdwn"]
        kinds = {"link", "user", "usergroup", "broadcast", "channel", "emoji"}
        assert not [part for part in parts if part.get("type") in kinds]
        assert not [part for part in parts if part.get("emoji") is True]
        shown = text_of(message["blocks"])
        assert "<!channel>" in shown
        for invisible in "\u202e\u202c\u200b\u2066\u2069\ufeff":
            assert invisible not in shown
        assert "⟦U+202E⟧" in shown
        assert "evil" not in message["text"]
        assert "channel" not in message["text"]

    def test_four_thousand_characters_are_cut_with_a_way_to_read_all(
        self, slack: SlackWorld
    ) -> None:
        slack.ask(justification="\u202e" * 4000)
        message = slack.human("ada").message()
        limits.check_message(message["blocks"], message["text"])
        assert "open to read all" in text_of(message["blocks"])

    def test_a_stand_in_is_shown_as_one_for_another(self, slack: SlackWorld) -> None:
        lent(slack.world, "ada", "otto")
        slack.link("otto")
        slack.ask()
        otto, bo = slack.human("otto"), slack.human("bo")
        asked = text_of(otto.message()["blocks"])
        assert "Can answer ada, bo, otto for ada" in asked
        assert "this step asks payments-leads, and you stand in for ada" in asked
        assert "Else ada, otto for ada" in text_of(bo.message()["blocks"])
        slack.press("otto", "approve")
        for human in (otto, bo, slack.human("ada"), slack.human("rita")):
            assert "Approved by otto for ada ·" in text_of(human.message()["blocks"])

    def test_a_ticket_title_is_words_too(self, slack: SlackWorld) -> None:
        request = slack.ask()
        request.ticket["title"] = f"<!channel> {HOSTILE}" * 20
        request.save(update_fields=["ticket"])
        slack.settle()
        parts = every(slack.human("ada").message()["blocks"])
        assert not [part for part in parts if part.get("type") in {"mrkdwn", "link", "broadcast"}]

    def test_shows_what_an_approver_needs(self, slack: SlackWorld) -> None:
        slack.ask(justification="The checkout times out.")
        shown = text_of(slack.human("ada").message()["blocks"])
        for words in (
            "Who rita",
            "Role orders-db-writer on orders-db",
            "For 10 min",
            "severity 2",
            "assigned to rita",
            "The checkout times out.",
            "step 1 of 1, 0 of 1 heard",
            "Can answer ada, bo",
            "Why you this step asks payments-leads",
            "Else bo",
            "Answer by",
            "Asked before never",
        ):
            assert words in shown, (words, shown)

    def test_slack_sdk_takes_every_block(self, slack: SlackWorld) -> None:
        slack.ask(justification=HOSTILE * 10)
        slack.press("ada", "deny")
        slack.send(slack.human("ada").submit(comment=HOSTILE))
        sent = [
            call.body
            for call in slack.faults.journal
            if call.method in {"chat.postMessage", "chat.update"}
        ]
        assert len(sent) >= 6
        for body in sent:
            blocks = body["blocks"]
            blocks = json.loads(blocks) if isinstance(blocks, str) else blocks
            for block in Block.parse_all(blocks):
                block.validate_json()
            limits.check_message(blocks, body["text"])


class TestLiteral:
    @pytest.mark.parametrize("text", ["\0", "\x1b[31m", "\u200b", "\u202e", "\u061c", "\ufeff"])
    def test_makes_the_invisible_visible(self, text: str) -> None:
        assert literal(text, 50).startswith("⟦U+")

    def test_cuts_by_characters(self) -> None:
        assert literal("ä" * 100, 10) == "ä" * 9 + "…"


class TestLimits:
    @pytest.mark.parametrize(
        "blocks",
        [
            [b.divider()] * 51,
            [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
            [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
            [{"type": "section", "fields": [b.plain("x")] * 11}],
            [{"type": "section", "text": {"type": "plain_text", "text": ""}}],
            [{"type": "image", "image_url": "x"}],
            [{"type": "context", "elements": [b.plain("x")] * 11}],
            [b.actions(*[b.button("x", "x")] * 26)],
            [b.actions({**b.button("x", "x"), "value": "x" * 2001})],
            [b.actions({**b.button("x", "x"), "action_id": "x" * 256})],
            [b.actions({**b.button("x", "x"), "text": {"type": "plain_text", "text": "x" * 76}})],
            [{**b.divider(), "block_id": "a"}, {**b.divider(), "block_id": "a"}],
            [{**b.divider(), "txt": "a"}],
        ],
    )
    def test_refuse_what_slack_would(self, blocks: list[Any]) -> None:
        with pytest.raises(limits.OverLimit):
            limits.check_message(blocks, "x")

    def test_refuse_a_title_too_long(self) -> None:
        view = modals.told("x")
        view["title"]["text"] = "x" * 25
        with pytest.raises(limits.OverLimit):
            limits.check_view(view)


class TestDrawnByOthers:
    """What an approver sees, by a renderer that others wrote (slack-blocks-to-jsx)."""

    def test_hostile_words_make_no_link_no_mention_and_no_mark_up(self, slack: SlackWorld) -> None:
        request = slack.ask(justification=HOSTILE + "<b onclick=x>html</b>")
        request.ticket["title"] = HOSTILE
        request.save(update_fields=["ticket"])
        slack.settle()
        page = rendered(slack.human("ada").message()["blocks"])
        keep = os.environ.get("KEEP_RENDERING")
        if keep:
            Path(keep).write_text(page, encoding="utf-8")
        body = page.split("<body>", 1)[1]
        links = set(re.findall(r'<a [^>]*href="([^"]*)"', body))
        assert all(link.startswith("http://127.0.0.1:8000/") for link in links), links
        assert "slack_user" not in body
        assert "slack_broadcast" not in body
        assert "<b onclick" not in body
        assert "&lt;!channel&gt;" in body
        assert "⟦U+202E⟧" in body

    def test_the_renderer_would_show_a_mention_if_there_were_one(self) -> None:
        naive = {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "<!channel> <https://evil.example|ours>"},
        }
        body = rendered([naive]).split("<body>", 1)[1]
        assert "slack_broadcast" in body or "@channel" in body
        assert 'href="https://evil.example"' in body


def rendered(blocks: list[Any]) -> str:
    slack_emulator.install()
    return subprocess.run(
        [slack_emulator.NODE, slack_emulator.HERE / "render_blocks.cjs"],
        input=json.dumps(blocks),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=slack_emulator.HERE,
    ).stdout
