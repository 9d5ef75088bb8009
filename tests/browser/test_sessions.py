"""Access sessions in the browser: the web terminal, watching, terminating, replay and search."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import People
from tests.support.processes import Running, until
from tests.support.visiting import ssh

OPERATOR = "web-1-operator"
PAUSED = """{"version":3,"term":{"cols":80,"rows":24}}
[0.1,"o","$ "]
[30.0,"o","after-the-pause\\r\\n"]
[20.0,"x","0"]
"""
"""A recording with more idle time than the player shows."""


def live_grant(running: Running) -> str:
    """Return rita's live grant on the demo's SSH host."""
    asked = running.rita.ask(OPERATOR).json()
    if asked["state"] == "PENDING":
        assert running.ada.decide(asked["id"]).status_code == 201
    grant: str = running.rita.request(asked["id"])["grant"]["id"]
    running.wait(grant, "ACTIVE")
    return grant


def screen(page: Page) -> str:
    """Return what the terminal shows, as text."""
    return str(
        page.evaluate(
            "() => { const b = window.jitTerminal.buffer.active; const out = [];"
            " for (let i = 0; i < b.length; i++) out.push(b.getLine(i).translateToString(true));"
            " return out.join('\\n'); }"
        )
    )


def shows(page: Page, words: str) -> None:
    until(lambda: screen(page), lambda text: words in text, seconds=20)


def typed(page: Page, line: str, answer: str) -> None:
    page.keyboard.type(f"{line}\n")
    shows(page, answer)


@pytest.fixture
def terminal(people: People, running: Running) -> Iterator[tuple[Page, str]]:
    """rita's terminal, open, and her grant."""
    grant = live_grant(running)
    rita = people.at("rita", f"/grants/{grant}/terminal/")
    expect(rita.locator("[data-line]")).to_have_text("Connected")
    shows(rita, "$")
    yield rita, grant
    running.rita.post(f"grants/{grant}/return/")


def session_of(running: Running, grant: str, state: str) -> dict[str, Any]:
    """Return the last session under the grant once it is in `state`."""
    found = until(
        lambda: running.udo.get("sessions/", limit="5").json()["items"],
        lambda rows: any(row["grant"] == grant and row["state"] == state for row in rows),
        seconds=40,
    )
    return next(row for row in found if row["grant"] == grant and row["state"] == state)


def draws_what_came_after_a_pause(page: Page, path: str) -> None:
    """Idle time that is skipped moved the player to a second that it did not draw."""
    page.route("**/cast/", lambda route: route.fulfill(body=PAUSED))
    page.goto(f"{path}?t=30.2")
    expect(page.locator("[data-player-screen]")).to_contain_text("after-the-pause")
    page.unroute("**/cast/")
    page.goto(path)


class TestTerminal:
    def test_is_typed_watched_terminated_and_replayed(  # noqa: PLR0915 -- one story, told in order
        self,
        terminal: tuple[Page, str],
        people: People,
        running: Running,
        axe: Callable[[Page], list[str]],
    ) -> None:
        rita, grant = terminal
        typed(rita, "echo the-answer-is-$((40+2))", "the-answer-is-42")
        assert axe(rita) == []
        live = session_of(running, grant, "LIVE")

        udo = people.at("udo", "/sessions/")
        row = udo.locator("section[aria-labelledby=live]")
        expect(row).to_contain_text(OPERATOR)
        row.get_by_role("link", name="Watch").click()
        watched = udo.locator("[data-player-screen]")
        expect(watched).to_contain_text("the-answer-is-42")
        typed(rita, "echo and-$((1+1))-more", "and-2-more")
        expect(watched).to_contain_text("and-2-more")
        assert axe(udo) == []

        udo.get_by_text("Terminate", exact=True).first.click()
        udo.get_by_placeholder("Why it ends now").fill("Seen enough.")
        udo.get_by_role("button", name="Terminate").click()
        # The person who is cut off reads why; whoever watched is shown the replay in its place.
        expect(rita.get_by_role("alertdialog")).to_contain_text(
            "udo ended this session: Seen enough."
        )
        expect(udo.locator("[data-player]")).to_have_attribute("data-ready", "1")
        expect(udo.locator("[data-live-player]")).to_have_count(0)
        sealed = session_of(running, grant, "SEALED")
        assert (sealed["id"], sealed["closed_because"]) == (live["id"], "terminated")

        indexed = f"sessions/{sealed['id']}/transcript/"
        until(lambda: running.udo.get(indexed).json(), lambda text: text["complete"], seconds=40)
        udo.goto("/sessions/?q=and-2-more")
        assert axe(udo) == []
        udo.locator(".hits a").first.click()
        playback = udo.locator("[data-player]")
        expect(playback).to_have_attribute("data-ready", "1")
        expect(playback.locator("[data-player-screen]")).to_contain_text("and-2-more")
        # A replay was drawn 224 px high, whatever its terminal's shape: letters of 4 px.
        letters = playback.locator(".ap-term").evaluate(
            "e => parseFloat(getComputedStyle(e).fontSize)"
        )
        assert letters >= 7
        expect(udo.locator("#transcript mark").first).to_have_text("and-2-more")
        at = float(playback.get_attribute("data-at") or 0)
        udo.get_by_role("searchbox", name="Words in it").fill("the-answer-is-42")
        udo.get_by_role("button", name="Search").click()
        expect(udo.locator("#transcript mark").first).to_have_text("the-answer-is-42")
        udo.locator("#transcript button[data-seek]").first.click()
        expect(playback).not_to_have_attribute("data-at", str(at))
        assert 0 < float(playback.get_attribute("data-at") or 0) < at
        draws_what_came_after_a_pause(udo, f"/sessions/{sealed['id']}/")
        udo.get_by_role("button", name="Verify").click()
        expect(udo.locator("#verified")).to_contain_text("the sealed log agrees")
        udo.get_by_label("What somebody should look at").fill("Ask rita about this.")
        udo.get_by_role("button", name="Flag this session").click()
        expect(udo.locator("#flags")).to_contain_text("Ask rita about this.")
        udo.get_by_label("Why it must be kept").fill("Case 7.")
        udo.get_by_role("button", name="Hold the recording").click()
        expect(udo.locator("#hold")).to_contain_text("Case 7.")
        assert axe(udo) == []
        udo.locator("#hold summary").click()
        udo.get_by_label("Why it is lifted").fill("Case 7 is closed.")
        udo.locator("#hold").get_by_role("button", name="Ask", exact=True).click()
        expect(udo.locator("#hold")).to_contain_text("It takes another auditor's yes.")
        assert axe(udo) == []

    def test_outlives_a_dropped_line(self, terminal: tuple[Page, str]) -> None:
        rita, _ = terminal
        typed(rita, "kept=still-$((1+2))-here", "$")
        rita.evaluate("window.jitSocket().close()")
        expect(rita.locator("[data-terminal]")).to_have_attribute("data-times", "2")
        typed(rita, "echo $kept", "still-3-here")
        rita.reload()
        shows(rita, "still-3-here")
        typed(rita, "echo again-$kept", "again-still-3-here")
        rita.get_by_role("button", name="Done").click()
        rita.get_by_role("button", name="Give it back").click()
        expect(rita.locator("#head")).to_contain_text(re.compile("Revoking|Ended"))


class TestLongPlayback:
    def test_comes_in_parts_and_jumps_between_them(
        self,
        people: People,
        running: Running,
        axe: Callable[[Page], list[str]],
        tmp_path: Path,
    ) -> None:
        """More than a part's 8 MB are shown, with a word at the beginning and one at the end."""
        grant = live_grant(running)
        noise = "yes the same again | head -c 12000000"
        person = ssh(running, grant, f"echo its-alpha; {noise}; sleep 1; echo its-omega", tmp_path)
        assert person.stdout is not None
        assert b"its-omega" in person.stdout.read()
        person.wait(20)
        person.stdout.close()
        sealed = session_of(running, grant, "SEALED")
        text = f"sessions/{sealed['id']}/transcript/"
        until(lambda: running.udo.get(text).json(), lambda seen: seen["complete"], seconds=60)
        (omega,) = running.udo.get(text, q="its-omega").json()["items"]

        udo = people.at("udo", f"/sessions/{sealed['id']}/")
        playback = udo.locator("[data-player]")
        said = udo.locator("[data-part]")
        expect(said).to_contain_text("A long recording: this is 00:00:00")
        expect(playback).to_have_attribute("data-from", "0")
        expect(udo.get_by_role("button", name="From the beginning")).to_be_hidden()
        assert axe(udo) == []
        udo.get_by_role("button", name="Next part").click()
        expect(said).to_contain_text("to the end")
        assert float(playback.get_attribute("data-from") or 0) > 0
        udo.get_by_role("button", name="From the beginning").click()
        expect(playback).to_have_attribute("data-from", "0")

        udo.goto(f"/sessions/{sealed['id']}/?t={omega['at_ms'] / 1000}")
        expect(playback).to_have_attribute("data-from", re.compile("^[1-9]"))
        expect(playback.locator(".ap-term")).to_contain_text("its-omega")
        assert axe(udo) == []
        running.rita.post(f"grants/{grant}/return/")
