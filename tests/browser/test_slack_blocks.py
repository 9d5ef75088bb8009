"""Hostile words in a Slack message, drawn in a real browser by a renderer that others wrote."""

from __future__ import annotations

from playwright.sync_api import Browser

from approvals.slack import blocks as b
from approvals.slack import messages
from tests.approvals.slack.test_messages import HOSTILE, rendered

MORE = HOSTILE + "<script>alert(1)</script><img src=x onerror=alert(1)>" + "w" * 4000


class TestHostileWords:
    def test_are_drawn_as_words_and_nothing_in_them_acts(self, browser: Browser) -> None:
        page = browser.new_page(viewport={"width": 720, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append(dialog.message))
        page.set_content(
            rendered(
                [
                    b.header("Approval asked: orders-db-writer"),
                    b.lines(b.fact("Who", b.word(HOSTILE)), b.fact("Ticket", HOSTILE)),
                    b.quote(MORE, messages.QUOTED),
                    b.actions(b.button("Open", "open", url="http://127.0.0.1/requests/")),
                ]
            )
        )
        links = page.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        assert set(links) <= {"http://127.0.0.1/requests/"}
        for active in ("script", "img[src='x']", ".slack_broadcast", ".slack_user"):
            assert page.locator(active).count() == 0
        words = page.locator("body").inner_text()
        assert "<!channel>" in words
        assert "<https://evil.example|https://jit.example/r/AR-17>" in words
        assert "⟦U+202E⟧" in words
        assert "open to read all" in words
        assert not [address for address in asked if address.startswith("http")], asked
        page.close()
