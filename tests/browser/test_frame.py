"""The frame of every page: what waits, in which zone times are, and what it is on paper."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, People
from tests.support.processes import Running


def sideways(page: Page) -> int:
    """Return how many pixels a page is wider than its window."""
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return max(int(wide), 0)


class TestWaits:
    def test_the_count_stands_in_menu_title_and_icon_and_follows(
        self, people: People, running: Running
    ) -> None:
        ada = people.at("ada", "/tickets/")
        expect(ada.locator("html[data-heard]")).to_have_count(1)
        ada.goto("/notifications/")
        mark = ada.get_by_role("button", name="Mark all as read")
        if mark.is_visible():
            mark.click()
        ada.goto("/tickets/")
        expect(ada).to_have_title(re.compile(r"^Tickets"))
        asked = running.rita.ask().json()["id"]
        inbox = ada.get_by_role("link", name="Inbox")
        expect(inbox).to_contain_text("1")
        expect(ada).to_have_title(re.compile(r"^\(1\) Tickets"))
        expect(ada.locator("link[rel=icon]")).to_have_attribute("href", re.compile("^data:image"))
        running.bo.decide(asked, "deny", comment="Ask the team first.")
        expect(inbox.locator("[data-count]")).to_be_hidden()

    def test_notifications_fit_a_phone_and_follow(self, people: People, running: Running) -> None:
        ada = people.at("ada", "/notifications/", size=PHONE)
        expect(ada.locator("html[data-heard]")).to_have_count(1)
        asked = running.rita.ask().json()["id"]
        link = ada.locator(f"a[href='/requests/{asked}/']")
        expect(link.first).to_be_visible()
        assert sideways(ada) == 0
        link.first.click()
        expect(ada.locator("#head")).to_contain_text("Pending")
        ada.goto("/notifications/?show=unread")
        expect(ada.locator(f"a[href='/requests/{asked}/']")).to_have_count(0)


class TestZone:
    def test_the_browsers_zone_is_offered_once(self, people: People) -> None:
        people.at("otto", "/")
        context = people.browser.new_context(
            storage_state=people.signed_in["otto"],
            timezone_id="Asia/Tokyo",
            base_url=people.running.url,
        )
        people.contexts.append(context)
        otto = context.new_page()
        otto.goto("/tickets/")
        offer = otto.locator("[data-zone-offer]")
        expect(offer).to_contain_text("Asia/Tokyo")
        offer.get_by_role("button", name="Keep").click()
        otto.reload()
        expect(otto.get_by_role("heading", name="Tickets")).to_be_visible()
        expect(offer).to_be_hidden()


class TestPrint:
    def test_a_printed_request_has_everything_and_no_menu(
        self, people: People, running: Running
    ) -> None:
        asked, _ = running.active()
        page = people.at("udo", f"/requests/{asked}/")
        page.evaluate("window.print = () => { document.documentElement.dataset.printed = '1'; }")
        page.get_by_role("button", name="Print it whole").click()
        expect(page.locator("html[data-printed]")).to_have_count(1)
        page.emulate_media(media="print")
        expect(page.get_by_role("link", name="Home")).to_be_hidden()
        expect(page.get_by_text(f"/requests/{asked}/, printed by udo")).to_be_visible()
        expect(page.get_by_text("request.created").first).to_be_visible()
        expect(page.locator(".condition").first).to_be_visible()
        dated: Any = page.evaluate(
            "getComputedStyle(document.querySelector('main time[title]'), '::after').content"
        )
        assert re.search(r"20\d\d, \d\d:\d\d:\d\d UTC", dated)


class TestTouch:
    def test_what_a_finger_presses_is_large_enough(self, people: People, running: Running) -> None:
        running.active()
        people.at("rita", "/")
        context = people.browser.new_context(
            storage_state=people.signed_in["rita"],
            viewport=PHONE,  # type: ignore[arg-type]
            has_touch=True,
            is_mobile=True,
            base_url=people.running.url,
        )
        people.contexts.append(context)
        rita = context.new_page()
        rita.goto("/")
        expect(rita.get_by_role("button", name="Done")).to_be_visible()
        small = rita.evaluate(
            """() => [...document.querySelectorAll("main .btn, main summary")]
              .map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
              .filter(([, box]) => box.height && (box.height < 43.9 || box.width < 43.9))
              .map(([text, box]) => `${text} ${box.width} x ${box.height}`)"""
        )
        assert small == []
