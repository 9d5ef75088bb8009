"""People in front of a real browser, on an installation that runs in real processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support import installed
from tests.support.processes import ROOT, Running

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
POLICIES = ROOT / "policies"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}
REPORT = """
addEventListener("securitypolicyviolation", (event) => {
  (window.__violations ??= []).push(
    `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""
AT_REST = """() => {
  const page = document.documentElement;
  return (!document.querySelector("[data-watch]") || !page.dataset.live || page.dataset.heard)
    && !document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling");
}"""
"""Whether a page is not just being drawn anew: what is looked at then may be half gone."""
expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def policy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policy files on the installation's machine: a copy, which a test may write to."""
    return Path(shutil.copytree(POLICIES, tmp_path_factory.mktemp("ground") / "policies"))


@pytest.fixture(scope="package")
def running(policy_folder: Path) -> Iterator[Running]:
    yield from installed.shared(JIT_POLICY_DIR=str(policy_folder))


@pytest.fixture(scope="package")  # its loop must end before other tests begin theirs
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS])
        yield chromium
        chromium.close()


class People:
    """Opens pages as somebody. Each signs in once, by password and code, through the pages."""

    def __init__(self, browser: Browser, running: Running) -> None:
        self.browser = browser
        self.running = running
        self.signed_in: dict[str, Any] = {}
        self.contexts: list[BrowserContext] = []
        self.troubles: list[str] = []

    def at(
        self,
        name: str | None,
        path: str = "/",
        *,
        size: dict[str, int] | None = None,
        theme: Any = "light",
    ) -> Page:
        """Return a page that shows `path` to this person (to a stranger, for None)."""
        if name is not None and name not in self.signed_in:
            self.signed_in[name] = self._sign_in(name)
        context = self.browser.new_context(
            storage_state=self.signed_in[name] if name else None,
            viewport=size or DESKTOP,  # type: ignore[arg-type]
            color_scheme=theme,
            base_url=self.running.url,
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.contexts.append(context)
        context.add_init_script(REPORT)
        page = context.new_page()
        page.on("pageerror", lambda error: self.troubles.append(f"{path}: {error}"))
        page.on("console", lambda message: self._heard(path, message))
        page.goto(path)
        return page

    def _heard(self, path: str, message: Any) -> None:
        # A refusal is an answer, and a look-up overtaken by the next is stopped on purpose:
        # Chromium and htmx log both as errors.
        harmless = ("Failed to load resource: the server responded with a status of 4",)
        harmless += ("htmx:afterRequest", "htmx:sendAbort")
        if message.type == "error" and not message.text.startswith(harmless):
            self.troubles.append(f"{path}: {message.text}")

    def _sign_in(self, name: str) -> Any:
        context = self.browser.new_context(base_url=self.running.url)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Password").fill(self.running.demo["people"][name]["password"])
        page.get_by_role("button", name="Continue").click()
        page.get_by_label("Six digits").fill(self.running.person(name).code())
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Home", exact=True)).to_be_visible()
        state = context.storage_state()
        context.close()
        return state

    def tidy(self) -> list[str]:
        """Close all pages; return what went wrong on any of them, CSP violations too."""
        for context in self.contexts:
            for page in context.pages:
                with suppress(Exception):
                    self.troubles += page.evaluate("window.__violations ?? []")
            context.close()
        found, self.troubles, self.contexts = self.troubles, [], []
        return found


@pytest.fixture(scope="package")
def _people(browser: Browser, running: Running) -> People:
    return People(browser, running)


@pytest.fixture
def onlookers(_people: People) -> Iterator[People]:
    """Everybody, and all that there is stays as it is."""
    yield _people
    assert _people.tidy() == []


@pytest.fixture
def people(_people: People, running: Running) -> Iterator[People]:
    """Everybody, holding and awaiting nothing; no page of the test may have had any trouble."""
    running.clear()
    yield _people
    assert _people.tidy() == []


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], list[str]]:
    """Return what axe finds wrong on a page by WCAG 2.2 AA, however small."""
    source = AXE.read_text(encoding="utf-8")

    def check(page: Page) -> list[str]:
        # A page may be drawn anew while axe looks: what is wrong is wrong a second time.
        return look(page) and look(page)

    def look(page: Page) -> list[str]:
        page.wait_for_function(AT_REST)
        page.evaluate(source)
        found = page.evaluate(
            "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa',"
            " 'best-practice']})"
        )
        return [
            f"{violation['id']} ({violation['impact']}): {node['html'][:160]}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    return check
