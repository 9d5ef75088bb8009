"""The main job in the browser: ask, approve, connect, done."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from jit.audit import verifier
from tests.browser.conftest import PHONE, People
from tests.support.processes import Running, until


def ask(page: Page, *, role: str, ticket: str, why: str = "The checkout times out.") -> None:
    """Fill and send the request form as a person does."""
    page.get_by_label("Search roles").fill(role)
    page.get_by_role("radio", name=role).click()
    page.get_by_label("Ticket", exact=True).fill(ticket)
    page.get_by_label("What you need it for").fill(why)
    page.get_by_role("button", name="Ask", exact=True).click()


class TestElevation:
    def test_from_request_to_done(self, people: People, running: Running) -> None:
        rita = people.at("rita", "/request/")
        rita.get_by_label("Search roles").fill("orders writer")
        rita.get_by_role("radio", name="orders-db-writer").click()
        rita.get_by_label("Ticket", exact=True).fill(f"{running.url}/tickets/OPS-1/")
        expect(rita.locator("#ticket-found")).to_contain_text("SEV2")
        ruling = rita.locator("#ruling")
        expect(ruling).to_contain_text("one of payments-leads")
        expect(ruling).to_contain_text("ada, bo")
        expect(ruling).to_contain_text("Say in a sentence what you need it for")
        rita.get_by_label("What you need it for").fill("The checkout times out.")
        expect(ruling).not_to_contain_text("Still missing")
        rita.get_by_role("radio", name="15 min").check()
        rita.get_by_role("button", name="Ask", exact=True).click()
        expect(rita.locator("#head")).to_contain_text("Pending")

        ada = people.at("ada", "/inbox/", size=PHONE, theme="dark")
        card = ada.get_by_role("article")
        expect(card).to_contain_text("The checkout times out.")
        expect(card).to_contain_text("Who else can answer")
        card.get_by_role("button", name="Approve for 15 min").click()
        expect(ada.locator("#inbox")).to_contain_text("Nothing waits for you")

        # Nobody reloads rita's page: it hears of it.
        expect(rita.locator("#head")).to_contain_text("Active")
        expect(rita.locator("#chain")).to_contain_text("approved")
        rita.get_by_role("button", name="Connect").click()
        shown = rita.locator("[data-credential]")
        password = shown.locator("code[data-masked]")
        expect(password).to_have_text("•" * 16)
        shown.get_by_role("button", name="Show").click()
        credential = {
            name: shown.locator(f"code[id^='{name}-']").inner_text()
            for name in ("host", "port", "database", "user", "password")
        }
        with running.log_in(credential) as connection:
            assert connection.execute("SELECT count(*) FROM orders").fetchone()

        rita.get_by_role("button", name="Done").click()
        # It can't be undone: one tap, beside Extend, ended a grant at three in the morning.
        asking = rita.get_by_role("dialog")
        expect(asking).to_contain_text("every session under it")
        asking.get_by_role("button", name="Not yet").click()
        expect(rita.locator("#head")).to_contain_text("Active")
        rita.get_by_role("button", name="Done").click()
        asking.get_by_role("button", name="Give it back").click()
        expect(rita.locator("#grant")).to_contain_text("Seen gone")
        expect(rita.locator("#head")).to_contain_text("Ended")
        with pytest.raises(psycopg.OperationalError):
            running.log_in(credential).close()

    def test_what_policy_allows_at_once_is_active_at_once(self, people: People) -> None:
        rita = people.at("rita", "/request/?ticket=OPS-1", size=PHONE)
        ask(rita, role="orders-db-reader", ticket="OPS-1")
        expect(rita.locator("#head")).to_contain_text("Active")
        expect(rita.locator("#chain")).to_contain_text("Nobody need approve")

    def test_a_refusal_keeps_what_was_typed(self, people: People) -> None:
        rita = people.at("rita", "/request/")
        ask(rita, role="orders-db-writer", ticket="OPS-2", why="A closed ticket.")
        problem = rita.get_by_role("alert")
        expect(problem).to_be_focused()
        expect(rita.get_by_label("What you need it for")).to_have_value("A closed ticket.")
        expect(rita.get_by_role("radio", name="orders-db-writer")).to_be_checked()

    def test_withdrawing_takes_it_from_the_inbox(self, people: People) -> None:
        rita = people.at("rita", "/request/")
        ask(rita, role="orders-db-writer", ticket="OPS-1")
        bo = people.at("bo", "/inbox/")
        expect(bo.get_by_role("article")).to_have_count(1)
        rita.get_by_role("button", name="Withdraw").click()
        expect(rita.locator("#head")).to_contain_text("Withdrawn")
        bo.reload()
        expect(bo.locator("#inbox")).to_contain_text("Nothing waits for you")


class TestInbox:
    def test_decides_by_keyboard(self, people: People, running: Running) -> None:
        asked = running.rita.ask().json()["id"]
        ada = people.at("ada", "/inbox/")
        expect(ada.get_by_role("article")).to_have_count(1)
        # At once: the first card is at hand.
        ada.keyboard.press("d")
        expect(ada.get_by_label("Comment")).to_be_focused()
        ada.keyboard.type("Not tonight.")
        ada.keyboard.press("Escape")
        ada.keyboard.press("d")
        until(lambda: running.rita.request(asked)["state"], lambda state: state == "DENIED")
        expect(ada.locator("#toasts")).to_contain_text("Denied")

    def test_approves_for_less(self, people: People, running: Running) -> None:
        asked = running.rita.ask(duration_seconds=1800).json()["id"]
        ada = people.at("ada", f"/requests/{asked}/", size=PHONE)
        ada.get_by_text("Approve for less").click()
        ada.get_by_label("Minutes").fill("5")
        ada.get_by_role("button", name="Approve", exact=True).click()
        expect(ada.locator("#chain")).to_contain_text("approved for 5 min")
        assert running.rita.request(asked)["granted_seconds"] == 300

    def test_a_hint_folds_no_answer_that_was_unfolded(
        self, people: People, running: Running
    ) -> None:
        asked = running.rita.ask().json()["id"]
        ada = people.at("ada", f"/requests/{asked}/")
        expect(ada.locator("html[data-heard]")).to_have_count(1)
        ada.get_by_text("Approve for less").click()
        running.bo.decide(asked, "deny", comment="Ask the team first.")
        expect(ada.get_by_role("button", name="Show the new state")).to_be_visible()
        expect(ada.get_by_label("Minutes")).to_be_visible()

    def test_a_denial_without_a_reason_is_refused_in_place(
        self, people: People, running: Running
    ) -> None:
        asked = running.rita.ask().json()["id"]
        ada = people.at("ada", "/inbox/")
        ada.get_by_role("button", name="Deny").click()
        expect(ada.get_by_role("alert")).to_contain_text("why you deny it")
        # A hint that comes meanwhile does not sweep it away.
        running.bo.decide(asked, "deny", comment="Ask the team first.")
        expect(ada.get_by_role("button", name="Show the new state")).to_be_visible()
        expect(ada.get_by_role("alert")).to_contain_text("why you deny it")
        expect(ada.get_by_role("button", name="Deny")).to_be_visible()


class TestLive:
    def test_a_page_follows_what_others_do(self, people: People, running: Running) -> None:
        asked = running.rita.ask().json()["id"]
        rita = people.at("rita", f"/requests/{asked}/")
        expect(rita.locator("html[data-live=on]")).to_have_count(1)
        running.bo.decide(asked, "deny", comment="Ask the team first.")
        expect(rita.locator("#head")).to_contain_text("Denied")
        expect(rita.locator("#chain")).to_contain_text("Ask the team first.")

    def test_what_happened_before_the_page_could_hear_is_shown(
        self, people: People, running: Running
    ) -> None:
        asked = running.rita.ask().json()["id"]
        ada = people.at("ada", "/")

        def withdraw_then_connect(socket: WebSocketRoute) -> None:
            running.rita.post(f"requests/{asked}/withdraw/")
            socket.connect_to_server()

        ada.route_web_socket("**/ws/live/", withdraw_then_connect)
        ada.goto(f"/requests/{asked}/")
        expect(ada.locator("#head")).to_contain_text("Withdrawn")

    def test_what_somebody_began_to_type_while_the_page_read_is_not_swept_away(
        self, people: People, running: Running
    ) -> None:
        asked = running.rita.ask().json()["id"]
        ada = people.at("ada", "/inbox/")
        comment = ada.get_by_label("Comment")

        def typed_meanwhile(route: Route) -> None:
            answer = route.fetch()
            comment.fill("I am thinking")
            route.fulfill(response=answer)

        ada.route("**/inbox/", typed_meanwhile, times=1)
        running.rita.ask("orders-db-admin")
        expect(ada.get_by_role("button", name="Show the new state")).to_be_visible()
        expect(comment).to_have_value("I am thinking")
        assert running.rita.request(asked)["state"] == "PENDING"

    def test_what_is_being_typed_is_not_swept_away(self, people: People, running: Running) -> None:
        asked = running.rita.ask().json()["id"]
        ada = people.at("ada", f"/requests/{asked}/")
        expect(ada.locator("html[data-live=on]")).to_have_count(1)
        ada.get_by_label("Comment").fill("I am thinking")
        running.bo.decide(asked, "deny", comment="No.")
        fresh = ada.get_by_role("button", name="Show the new state")
        expect(fresh).to_be_visible()
        expect(ada.get_by_label("Comment")).to_have_value("I am thinking")
        fresh.click()
        expect(ada.locator("#chain")).to_contain_text("denied")

    def test_what_was_unfolded_to_read_stays_so(self, people: People, running: Running) -> None:
        asked, grant_id = running.active()
        rita = people.at("rita", f"/requests/{asked}/")
        calls = rita.locator("#grant details", has_text="to the target")
        expect(rita.locator("html[data-heard]")).to_have_count(1)
        calls.locator("summary").click()
        expect(calls.get_by_role("table")).to_be_visible()
        running.give_back(grant_id)
        expect(rita.locator("#grant")).to_contain_text("Seen gone")
        expect(calls.get_by_role("table")).to_be_visible()

    def test_the_credential_stays_while_the_page_updates(
        self, people: People, running: Running
    ) -> None:
        running.active()
        rita = people.at("rita", "/")
        rita.get_by_role("button", name="Connect").click()
        expect(rita.locator("[data-credential]")).to_be_visible()
        # The audit event of showing it is itself a hint, after which the button has new words.
        expect(rita.get_by_role("button", name="New credential")).to_be_visible()
        expect(rita.locator("[data-credential]")).to_be_visible()

    def test_a_press_counts_though_the_page_updates_under_the_finger(
        self, people: People, running: Running
    ) -> None:
        asked, _ = running.active()
        rita = people.at("rita", f"/requests/{asked}/")
        done = rita.locator("#grant").get_by_role("button", name="Done")
        expect(rita.locator("html[data-heard]")).to_have_count(1)
        done.hover()
        rita.mouse.down()
        with rita.expect_response("**/part/grant/"):
            rita.evaluate("htmx.trigger('#grant', 'hint')")
        rita.wait_for_timeout(300)
        rita.mouse.up()
        expect(rita.get_by_role("dialog")).to_be_visible()

    def test_signing_out_elsewhere_leads_to_the_sign_in_page(self, people: People) -> None:
        otto = people.at("otto", "/")
        expect(otto.locator("html[data-live=on]")).to_have_count(1)
        other = otto.context.new_page()
        other.goto("/")
        other.get_by_role("button", name="Sign out").click()
        expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
        del people.signed_in["otto"]
        # At once, by a hint: the page would ask by itself within 15 seconds.
        expect(otto.get_by_role("heading", name="Sign in")).to_be_visible()


class TestAudit:
    def test_an_export_arrives_whole(self, people: People, tmp_path: Path) -> None:
        page = people.at("udo", "/audit/")
        with page.expect_download() as coming:
            page.get_by_role("button", name="Export everything").click()
        coming.value.save_as(tmp_path / "audit.zip")
        assert verifier.verify(tmp_path / "audit.zip").events > 20
