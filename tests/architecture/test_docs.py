"""The pages that describe the house say what the house is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
DECISIONS = ROOT / "docs" / "adr"

ROOMS = {
    "web": "pages",
    "api": "REST",
    "ops": "health, metrics, commands",
    "workflow": "journeys and ports",
    "elevation": "requests, grants, provisioning",
    "catalog": "targets, roles",
    "connectors": "one folder a kind of target",
    "notifications": "the outbox and its channels",
    "oncall": "who is on call",
    "policy": "facts to a ruling",
    "tickets": "adapters and the registry",
    "identity": "people, factors, tokens",
    "audit": "the sealed log",
    "kernel": "actor, clock, states, errors",
}
"""What the picture says in a room beside its name."""


def picture() -> str:
    """Return the picture of the house, as Mermaid, from the contracts of `pyproject.toml`."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    wings, core = contracts[0]["layers"]
    floors = [re.findall(r"\w+", layer) for layer in contracts[1]["layers"]]
    lines = ["```mermaid", "flowchart TB"]
    lines += [f'  {wing}["{wing}/"]' for wing in re.findall(r"\w+", wings)]
    lines += [f'  subgraph {core}["{core}/"]', "    direction TB"]
    for number, rooms in enumerate(floors):
        lines += [f'    subgraph floor{number}[" "]', "      direction TB"]
        for room in rooms:
            said = f"<br>{ROOMS[room]}" if room in ROOMS else ""
            lines.append(f'      {room}["{room}{said}"]')
        lines.append("    end")
    steps = range(len(floors) - 1)
    lines += [f"    floor{number} --> floor{number + 1}" for number in steps]
    lines += ["  end"]
    lines += [f"  {wing} --> {core}" for wing in re.findall(r"\w+", wings)]
    return "\n".join([*lines, "```"])


class TestThePicture:
    def test_equals_the_import_contracts(self) -> None:
        page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
        assert picture() in page, f"put this into docs/architecture.md:\n{picture()}"


class TestTheDecisions:
    def test_are_all_in_the_index_with_their_titles(self) -> None:
        index = (DECISIONS / "README.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| \[(\d+)\]\((\S+)\) \| (.+) \|$", index, re.MULTILINE)
        pages = []
        for path in sorted(DECISIONS.glob("[0-9]*.md")):
            title = path.read_text(encoding="utf-8").partition("\n")[0]
            number, _, words = title.removeprefix("# ").partition(". ")
            assert int(number) == int(path.name[:4])
            pages.append((number, path.name, words))
        assert rows == pages

    def test_a_missing_number_is_explained(self) -> None:
        index = (DECISIONS / "README.md").read_text(encoding="utf-8")
        there = {int(path.name[:4]) for path in DECISIONS.glob("[0-9]*.md")}
        missing = set(range(1, max(there))) - there
        said = {int(number) for number in re.findall(r"\b\d+\b", index.partition("|")[0])}
        assert missing <= said
