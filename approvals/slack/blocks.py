"""The few Block Kit elements we use. None of them takes mrkdwn: words stay words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from approvals.slack import limits, text

type Block = dict[str, Any]
type Element = dict[str, Any]


def plain(words: object, limit: int = limits.SECTION) -> Element:
    return {"type": "plain_text", "text": text.literal(words, limit) or "-", "emoji": False}


def header(words: str) -> Block:
    return {"type": "header", "text": plain(words, limits.HEADER)}


def context(*words: str) -> Block:
    return {"type": "context", "elements": [plain(one, limits.FIELD) for one in words]}


def divider() -> Block:
    return {"type": "divider"}


# --- Rich text: the elements that nobody parses ----------------------------------------


def word(words: object, *, bold: bool = False, limit: int = limits.RICH_TEXT) -> Element:
    element: Element = {"type": "text", "text": text.literal(words, limit) or "-"}
    return {**element, "style": {"bold": True}} if bold else element


def moment(at: dt.datetime, form: str = "{date_short_pretty} {time}") -> Element:
    """Return a time that each reader sees in their own zone."""
    return {
        "type": "date",
        "timestamp": int(at.timestamp()),
        "format": form,
        "fallback": f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC",
    }


def lines(*rows: Sequence[Element]) -> Block:
    """Return one rich text block with a line for each row of elements."""
    flat: list[Element] = []
    for row in rows:
        flat += [*row, {"type": "text", "text": "\n"}]
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": flat[:-1]}],
    }


def fact(label: str, *values: Element | str) -> list[Element]:
    """Return a line of facts: its label in bold, then its words."""
    return [
        word(f"{label}  ", bold=True),
        *(word(value) if isinstance(value, str) else value for value in values),
    ]


def quote(words: object, limit: int) -> Block:
    """Return somebody's own words, set apart."""
    return {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_quote",
                "elements": [
                    {"type": "text", "text": text.literal(words, limit, more=text.MORE) or "-"}
                ],
            }
        ],
    }


# --- Actions ---------------------------------------------------------------------------


def button(label: str, action: str, *, value: str = "", url: str = "", style: str = "") -> Element:
    element: Element = {
        "type": "button",
        "action_id": action,
        "text": plain(label, limits.BUTTON),
    }
    for name, given in (("value", value), ("url", url), ("style", style)):
        if given:
            element[name] = given
    return element


def actions(*elements: Element) -> Block:
    return {"type": "actions", "elements": list(elements)}


def field(label: str, block_id: str, element: Element, *, optional: bool = False) -> Block:
    return {
        "type": "input",
        "block_id": block_id,
        "label": plain(label, limits.LABEL),
        "element": element,
        "optional": optional,
    }


def typed(action: str, *, longest: int, multiline: bool = False, initial: str = "") -> Element:
    element: Element = {
        "type": "plain_text_input",
        "action_id": action,
        "multiline": multiline,
        "max_length": min(longest, 3000),
    }
    return {**element, "initial_value": initial} if initial else element
