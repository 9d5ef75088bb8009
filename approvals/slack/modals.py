"""The modals, and how their answers are read and answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvals.slack import blocks as b
from approvals.slack import limits
from approvals.slack.text import duration
from jit.elevation.models import ElevationRequest

LONGEST_REASON = 2000
MINUTE = 60

type View = dict[str, Any]


def _modal(
    title: str, blocks: list[b.Block], *, callback: str = "", submit: str = "", metadata: str = ""
) -> View:
    view: View = {
        "type": "modal",
        "title": b.plain(title, limits.VIEW_TITLE),
        "close": b.plain("Close", limits.VIEW_TITLE),
        "blocks": blocks,
    }
    if callback:
        view |= {"callback_id": callback, "submit": b.plain(submit, limits.VIEW_TITLE)}
    if metadata:
        view["private_metadata"] = metadata
    limits.check_view(view)
    return view


def decision(kind: str, *, row: ElevationRequest, value: str) -> View:
    """Return the modal behind "Deny…" or "Approve for less…"; it carries the button's value."""
    asked = [
        b.fact("Who", row.requester.username),
        b.fact("Role", row.role.slug),
        b.fact("For", duration(row.granted_seconds)),
    ]
    if kind == "deny":
        reason = b.typed("comment", longest=LONGEST_REASON, multiline=True)
        fields = [b.field("Why not? The requester reads it.", "comment", reason)]
        # The domain itself asks for the reason, so that Slack's own check is no rule of ours.
        fields[0]["optional"] = True
        return _modal(
            "Deny", [b.lines(*asked), *fields], callback="deny", submit="Deny", metadata=value
        )
    half = max(row.granted_seconds // 2 // MINUTE, 1)
    return _modal(
        "Approve for less",
        [
            b.lines(*asked),
            b.field("Minutes", "minutes", b.typed("minutes", longest=6, initial=str(half))),
            b.field(
                "Comment",
                "comment",
                b.typed("comment", longest=LONGEST_REASON, multiline=True),
                optional=True,
            ),
        ],
        callback="less",
        submit="Approve",
        metadata=value,
    )


def request() -> View:
    """Return the modal of `/jit request`."""
    role: b.Element = {
        "type": "external_select",
        "action_id": "role",
        "min_query_length": 0,
        "placeholder": b.plain("Search a role", limits.PLACEHOLDER),
    }
    return _modal(
        "Request a role",
        [
            b.field("Role", "role", role),
            b.field("Ticket", "ticket", b.typed("ticket", longest=200)),
            b.field("Minutes", "minutes", b.typed("minutes", longest=6, initial="30")),
            b.field(
                "What do you need it for?",
                "justification",
                b.typed("justification", longest=3000, multiline=True),
            ),
        ],
        callback="request",
        submit="Ask",
    )


def told(*words: str, title: str = "JIT access") -> View:
    """Return a modal that only says something."""
    return _modal(title, [b.lines(*([b.word(one)] for one in words))])


def instead(words: str) -> dict[str, Any]:
    """Answer a submission by showing a sentence in the modal's place."""
    return {"response_action": "update", "view": told(words)}


def errors(beside: Mapping[str, str]) -> dict[str, Any]:
    """Answer a submission by sentences beside its fields."""
    return {"response_action": "errors", "errors": dict(beside)}


def typed(view: Mapping[str, Any], block: str) -> str:
    """Return what stands in the field of this block, "" for nothing."""
    state = view.get("state")
    values = state.get("values") if isinstance(state, dict) else None
    of_block = values.get(block) if isinstance(values, dict) else None
    element = of_block.get(block) if isinstance(of_block, dict) else None
    if not isinstance(element, dict):
        return ""
    option = element.get("selected_option")
    found = option.get("value") if isinstance(option, dict) else element.get("value")
    return found if isinstance(found, str) else ""
