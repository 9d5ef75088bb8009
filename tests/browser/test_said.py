"""What the pages say was done is what was done."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from tests.browser.conftest import People
from tests.support.processes import Running


class TestDecisions:
    def test_a_refused_approval_does_not_say_approved(
        self, people: People, running: Running
    ) -> None:
        asked = running.rita.ask().json()["id"]
        ada = people.at("ada", "/inbox/")
        ada.get_by_text("Approve for less").click()
        ada.get_by_label("Minutes").fill("9999")
        ada.get_by_role("button", name="Approve", exact=True).click()
        expect(ada.get_by_role("alert")).to_contain_text("Duration not shorter")
        assert ada.locator("#toasts").inner_text() == ""
        assert running.rita.request(asked)["state"] == "PENDING"

    def test_a_refused_denial_does_not_say_denied(self, people: People, running: Running) -> None:
        running.rita.ask()
        ada = people.at("ada", "/inbox/")
        ada.get_by_role("button", name="Deny").click()
        expect(ada.get_by_role("alert")).to_contain_text("Reason required")
        assert ada.locator("#toasts").inner_text() == ""

    def test_a_line_that_breaks_does_not_say_that_nothing_was_changed(
        self, people: People, running: Running
    ) -> None:
        """The answer was lost, not the decision."""
        asked = running.rita.ask().json()["id"]
        ada = people.at("ada", "/inbox/")

        def lose_the_answer(route: Route) -> None:
            route.fetch()
            route.abort("connectionreset")

        ada.route("**/decide/", lose_the_answer)
        ada.get_by_role("button", name="Approve for").click()
        expect(ada.locator("#toasts")).to_contain_text("It is not known whether it arrived")
        assert running.rita.request(asked)["state"] == "APPROVED"
        people.troubles.clear()  # Chromium says that the line broke.
