"""A change of policy in the browser: proposed by one person, put in force by another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, People
from tests.support.processes import Running

BEFORE, AFTER = "repair orders-db, with a lead's yes", "repair orders-db, if one lead agrees"


@pytest.fixture
def changed_file(policy_folder: Path) -> Iterator[None]:
    path = policy_folder / "demo.yaml"
    old = path.read_text(encoding="utf-8")
    assert BEFORE in old
    path.write_text(old.replace(BEFORE, AFTER), encoding="utf-8")
    yield
    path.write_text(old, encoding="utf-8")


@pytest.mark.usefixtures("changed_file")
class TestPolicy:
    def test_takes_two_people_to_change(self, people: People, running: Running) -> None:
        opal = people.at("opal", "/policy/")
        opal.get_by_label("What it changes").fill("Say who is meant.")
        opal.get_by_role("button", name="Propose these files").click()
        expect(opal.get_by_text("You proposed it; a second person")).to_be_visible()
        expect(opal.get_by_role("button", name="Put it in force")).to_have_count(0)

        olga = people.at("olga", opal.url, size=PHONE)
        expect(olga.locator(".diff-del", has_text=BEFORE)).to_be_visible()
        expect(olga.locator(".diff-add", has_text=AFTER)).to_be_visible()
        olga.get_by_role("button", name="Try it on the last").click()
        expect(olga.get_by_text("Nobody gains and nobody loses.")).to_be_visible()
        olga.get_by_label("Why", exact=True).fill("Clearer.")
        olga.get_by_label("Code of your authenticator").fill(running.person("olga").code())
        olga.get_by_role("button", name="Put it in force").click()
        expect(olga.get_by_role("heading", name="Policy", exact=True)).to_be_visible()
        expect(olga.get_by_role("main").get_by_role("status")).to_contain_text("is in force")
        expect(olga.locator("section", has=olga.locator("#history"))).to_contain_text("Clearer.")
        expect(olga.get_by_text("The files on this machine are the ones in force.")).to_be_visible()

        opal.reload()
        expect(opal.get_by_role("main")).to_contain_text("In force")
