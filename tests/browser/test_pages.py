"""Every page: nothing that axe minds, nothing that the CSP stops, nothing that overflows."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, People
from tests.support.processes import Running

PAGES = (
    (None, "/sign-in/"),
    ("rita", "/"),
    ("rita", "/request/?role=orders-db-admin&ticket=OPS-1"),
    ("rita", "/request/?role=orders-db-writer&ticket=OPS-2"),
    ("rita", "/break-glass/"),
    ("rita", "/requests/"),
    ("rita", "/grants/"),
    ("ada", "/inbox/"),
    ("ada", "/notifications/"),
    ("otto", "/request/"),
    ("otto", "/break-glass/"),
    ("ada", "/reviews/"),
    ("rita", "/tickets/"),
    ("rita", "/tickets/OPS-1/"),
    ("rita", "/tickets/new/"),
    ("rita", "/catalogue/"),
    ("rita", "/account/"),
    ("ada", "/account/notifications/"),
    ("opal", "/grants/?requester=rita"),
    ("udo", "/policy/"),
    ("udo", "/audit/?person=rita"),
    ("udo", "/audit/3/"),
    ("rita", "/nowhere/"),
    ("rita", "/policy/"),
)


@pytest.fixture(scope="class")
def lived_in(running: Running) -> None:
    """Something to see: an ended grant, a live one, a pending request."""
    running.clear()
    _, grant = running.active("orders-db-reader")
    running.give_back(grant)
    running.active("orders-db-reader")
    running.rita.ask()


def settle(page: Page) -> None:
    page.wait_for_load_state("load")
    expect(page.locator(".htmx-request")).to_have_count(0)


def assert_fits(page: Page) -> None:
    """Nothing is wider than the page, nor would be in a year, when a moment says its year too."""
    wider = "document.documentElement.scrollWidth - innerWidth"
    assert page.evaluate(wider) <= 0
    page.evaluate(_A_YEAR_LATER)
    assert page.evaluate(wider) <= 0


_A_YEAR_LATER = """() => {
    for (const moment of document.querySelectorAll("time[data-when]")) {
        const then = new Date(moment.dateTime);
        then.setUTCFullYear(then.getUTCFullYear() - 1);
        moment.dateTime = then.toISOString();
    }
    document.dispatchEvent(new Event("htmx:load"));
    for (const moment of document.querySelectorAll("time[data-when=both]"))
        if (!/20\\d\\d/.test(moment.textContent)) throw new Error(moment.outerHTML);
}"""


@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")])
@pytest.mark.parametrize(("name", "path"), PAGES)
@pytest.mark.usefixtures("lived_in")
class TestPage:
    def test_passes(
        self,
        onlookers: People,
        axe: Callable[[Page], list[str]],
        name: str | None,
        path: str,
        size: dict[str, int],
        theme: str,
    ) -> None:
        page = onlookers.at(name, path, size=size, theme=theme)
        settle(page)
        assert axe(page) == []
        assert_fits(page)


class TestDetail:
    @pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "dark"), (PHONE, "light")])
    def test_passes_in_every_state(
        self,
        people: People,
        running: Running,
        axe: Callable[[Page], list[str]],
        size: dict[str, int],
        theme: str,
    ) -> None:
        pending = running.rita.ask("orders-db-admin", duration_seconds=1200).json()["id"]
        live, grant = running.active()
        ended, other = running.active("orders-db-reader")
        running.give_back(other)
        for name, request_id in (("ada", pending), ("rita", live), ("udo", ended)):
            page = people.at(name, f"/requests/{request_id}/", size=size, theme=theme)
            settle(page)
            for summary in page.locator("main summary").all():
                summary.click()
            settle(page)
            assert axe(page) == []
            assert_fits(page)
        rita = people.at("rita", "/", size=size, theme=theme)
        rita.get_by_role("button", name=re.compile("Connect|New credential")).click()
        expect(rita.locator("[data-credential]")).to_be_visible()
        settle(rita)
        assert axe(rita) == []
        running.give_back(grant)


class TestFrame:
    def test_no_page_carries_inline_script_or_style(self, people: People) -> None:
        page = people.at("rita", "/request/")
        settle(page)
        assert page.locator("style, [style], script:not([src])").count() == 0

    def test_the_theme_is_kept(self, people: People) -> None:
        page = people.at("rita", "/", theme="light")
        ground = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(ground)
        switch = page.get_by_role("button", name="Theme: system")
        switch.click()
        page.get_by_role("button", name="Theme: light").click()
        dark = page.evaluate(ground)
        assert dark != light
        page.reload()
        assert page.evaluate(ground) == dark

    def test_the_menu_opens_on_a_phone(self, people: People) -> None:
        page = people.at("rita", "/", size=PHONE)
        expect(page.get_by_role("link", name="Catalogue")).to_be_hidden()
        page.get_by_role("button", name="Menu").click()
        page.get_by_role("link", name="Catalogue").click()
        expect(page.get_by_role("heading", name="Catalogue", exact=True)).to_be_visible()

    def test_times_are_in_the_readers_zone(self, people: People) -> None:
        page = people.at("bo", "/account/")
        choice = page.get_by_role("combobox", name="Time zone")
        use = page.locator("form", has=choice).get_by_role("button", name="Use it")
        choice.select_option("Asia/Kolkata")
        use.click()
        expect(page.get_by_text("Times are shown in Asia/Kolkata.", exact=True)).to_be_visible()
        shown = page.locator("time[data-when=both]").first
        expect(shown).to_have_attribute("title", re.compile("IST"))
        choice.select_option("UTC")
        use.click()
        expect(page.get_by_text("Times are shown in UTC.", exact=True)).to_be_visible()
