"""Slack's limits on blocks and views, checked before anything is sent.

<https://docs.slack.dev/reference/block-kit/>; slack_sdk.models knows those of the outer blocks,
this table also the nested ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
HEADER = 150
SECTION = 3000
FIELDS = 10
FIELD = 2000
CONTEXT_ELEMENTS = 10
ACTIONS_ELEMENTS = 25
BUTTON = 75
VALUE = 2000
IDENTIFIER = 255
URL = 3000
VIEW_TITLE = 24
METADATA = 3000
OPTION = 75
OPTIONS = 100
LABEL = 2000
PLACEHOLDER = 150
FALLBACK = 4000
RICH_TEXT = 3000
"""Slack names no limit for a rich text element; ours is that of a section."""

_BLOCKS = {
    "header": {"text"},
    "section": {"text", "fields", "accessory"},
    "rich_text": {"elements"},
    "context": {"elements"},
    "actions": {"elements"},
    "divider": set(),
    "input": {"label", "element", "hint", "optional", "dispatch_action"},
}


class OverLimit(Exception):
    """What would be sent breaks a limit of Slack's; always a bug of ours."""


def check_message(blocks: Sequence[Mapping[str, Any]], text: str) -> None:
    """Raise OverLimit unless Slack takes these as a message."""
    _raise(_message(blocks, text))


def check_view(view: Mapping[str, Any]) -> None:
    """Raise OverLimit unless Slack takes this as a modal or an App Home."""
    _raise(_view(view))


def _raise(problems: Iterator[str]) -> None:
    found = list(problems)
    if found:
        raise OverLimit("; ".join(found))


def _message(blocks: Sequence[Mapping[str, Any]], text: str) -> Iterator[str]:
    yield from _length("blocks", blocks, MESSAGE_BLOCKS)
    yield from _length("text", text, FALLBACK)
    yield from _blocks(blocks)


def _view(view: Mapping[str, Any]) -> Iterator[str]:
    yield from _length("blocks", view["blocks"], VIEW_BLOCKS)
    for name in ("title", "submit", "close"):
        if name in view:
            yield from _length(name, view[name]["text"], VIEW_TITLE)
    yield from _length("private_metadata", view.get("private_metadata", ""), METADATA)
    yield from _blocks(view["blocks"])


def _blocks(blocks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = [block.get("block_id") for block in blocks if "block_id" in block]
    if len(known) != len(set(known)):
        yield "a block_id occurs twice"
    for block in blocks:
        kind = block["type"]
        if kind not in _BLOCKS:
            yield f"unknown block {kind}"
        elif extra := set(block) - {"type", "block_id"} - _BLOCKS[kind]:
            yield f"{kind} has no {', '.join(sorted(extra))}"
        yield from _length("block_id", block.get("block_id", ""), IDENTIFIER)
        yield from _block(kind, block)


def _block(kind: str, block: Mapping[str, Any]) -> Iterator[str]:
    if kind in {"context", "actions"}:
        most = CONTEXT_ELEMENTS if kind == "context" else ACTIONS_ELEMENTS
        yield from _length(kind, block["elements"], most)
    if kind == "context":
        for element in block["elements"]:
            yield from _text("context", element, FIELD)
    elif kind == "actions":
        for element in block["elements"]:
            yield from _element(element)
    elif kind == "rich_text":
        for part in block["elements"]:
            for element in part["elements"]:
                if element["type"] == "text":
                    yield from _length("rich text", element["text"], RICH_TEXT, least=1)
    else:
        yield from _plain_block(kind, block)


def _plain_block(kind: str, block: Mapping[str, Any]) -> Iterator[str]:
    for name, limit in (("text", HEADER if kind == "header" else SECTION), ("label", LABEL)):
        if name in block:
            yield from _text(kind, block[name], limit)
    yield from _length("fields", block.get("fields", ()), FIELDS)
    for field in block.get("fields", ()):
        yield from _text("field", field, FIELD)
    for name in ("accessory", "element"):
        if name in block:
            yield from _element(block[name])


def _element(element: Mapping[str, Any]) -> Iterator[str]:
    yield from _length("action_id", element["action_id"], IDENTIFIER, least=1)
    if element["type"] == "button":
        yield from _text("button", element["text"], BUTTON)
        yield from _length("value", element.get("value", ""), VALUE)
        yield from _length("url", element.get("url", ""), URL)
    if "placeholder" in element:
        yield from _text("placeholder", element["placeholder"], PLACEHOLDER)
    yield from _length("options", element.get("options", ()), OPTIONS)
    for option in element.get("options", ()):
        yield from _text("option", option["text"], OPTION)
        yield from _length("option value", option["value"], OPTION, least=1)


def _text(name: str, text: Mapping[str, Any], limit: int) -> Iterator[str]:
    if text["type"] != "plain_text":
        yield f"{name} is {text['type']}: people's words could become markup"
    yield from _length(name, text["text"], limit, least=1)


def _length(name: str, what: Any, limit: int, *, least: int = 0) -> Iterator[str]:
    if not least <= len(what) <= limit:
        yield f"{name}: {len(what)} is not between {least} and {limit}"
