"""Tags and filters of the pages: icons, states, times, durations, people, hostile text."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from jit.kernel.text import visible
from jit.web import board, icons, states

register = template.Library()

_EVIDENCE_ORDER = {
    "observed_at": 0,
    "mode": 1,
    "server_version": 1,
    "was_there": 2,
    "roles_found": 3,
    "connections_found": 3,
    "memberships_removed": 4,
    "removed_at_once": 4,
    "connections_cut": 4,
    "gateways": 5,
    "looked_in": 7,
    "not_known": 8,
    "not_looked_at": 9,
}
_OTHER_FACTS = 6
register.filter(visible)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Draw an icon; without a label it is decoration and hidden from screen readers."""
    drawing = mark_safe(icons.PATHS[name])  # noqa: S308 -- a constant of ours
    if label:
        return format_html(
            '<svg class="glyph" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
            'stroke-linecap="round" stroke-linejoin="round" role="img" aria-label="{}">{}</svg>',
            label,
            drawing,
        )
    return format_html(
        '<svg class="glyph" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{}</svg>',
        drawing,
    )


@register.inclusion_tag("components/_state.html")
def state(code: str, word: str = "") -> dict[str, Any]:
    look = states.LOOKS.get(str(code), states.NO_LOOK)
    return {"look": look, "word": word or look.word}


@register.inclusion_tag("components/_pill.html")
def risk(code: str) -> dict[str, Any]:
    look = states.RISKS.get(code, states.NO_LOOK)
    return {"look": look, "word": look.word}


@register.inclusion_tag("components/_state.html")
def outcome(code: str) -> dict[str, Any]:
    look = states.OUTCOMES.get(str(code), states.NO_LOOK)
    return {"look": look, "word": look.word}


@register.filter
def end_reason(code: str) -> str:
    return states.END_REASONS.get(code, code)


@register.filter
def tone(code: str) -> str:
    return states.LOOKS.get(str(code), states.NO_LOOK).tone


@register.filter
def shape(code: str) -> str:
    return states.LOOKS.get(str(code), states.NO_LOOK).icon


# --- Time -----------------------------------------------------------------------------


def _moment(at: dt.datetime | str | None) -> dt.datetime | None:
    """Return `at` as an aware datetime; RFC 3339 text out of stored JSON is read."""
    if isinstance(at, str):
        try:
            at = dt.datetime.fromisoformat(at)
        except ValueError:
            return None
    if at is None or at.tzinfo is None:
        return None
    return at


def _clock_text(at: dt.datetime) -> str:
    local = timezone.localtime(at)
    today = timezone.localdate()
    if local.date() == today:
        return local.strftime("%H:%M:%S %Z")
    if local.year == today.year:
        return local.strftime("%-d %b %H:%M %Z")
    return local.strftime("%-d %b %Y %H:%M %Z")


@register.simple_tag
def when(at: dt.datetime | str | None, style: str = "both") -> SafeString | str:
    """Draw a moment in the reader's zone with the relative form, which the page keeps true.

    `style` is `both`, `relative` or `clock`.
    """
    moment = _moment(at)
    if moment is None:
        return "—"
    return format_html(
        '<time class="nowrap" datetime="{}" data-when="{}" title="{}">{}</time>',
        moment.astimezone(dt.UTC).isoformat(timespec="milliseconds"),
        style,
        timezone.localtime(moment).strftime("%A %-d %B %Y, %H:%M:%S %Z"),
        _clock_text(moment),
    )


@register.simple_tag
def countdown(at: dt.datetime | None, size: str = "", soon: int = 300) -> SafeString | str:
    """Draw the time left until `at`, running down; under `soon` seconds it stands out."""
    moment = _moment(at)
    if moment is None:
        return "—"
    left = max(int((moment - timezone.now()).total_seconds()), 0)
    return format_html(
        '<time class="countdown {}" datetime="{}" data-countdown="{}" title="{}">{}</time>',
        size,
        moment.astimezone(dt.UTC).isoformat(timespec="milliseconds"),
        soon,
        timezone.localtime(moment).strftime("%A %-d %B %Y, %H:%M:%S %Z"),
        clock_left(left),
    )


def clock_left(seconds: int) -> str:
    """Return seconds as `4:05` or `1:04:05`."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@register.filter
def duration(seconds: Any) -> str:
    """Return whole seconds as people say them: `45 s`, `30 min`, `1 h 30 min`, `2 d`."""
    try:
        rest = int(seconds)
    except (TypeError, ValueError):
        return "—"
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"


# --- People and their words -----------------------------------------------------------


@register.inclusion_tag("components/_person.html")
def person(user: Any, note: str = "") -> dict[str, Any]:
    """Draw a person by name. Takes a user, an actor or a plain name."""
    name = str(getattr(user, "username", None) or getattr(user, "name", None) or user or "—")
    shown = str(getattr(user, "display_name", "") or "")
    return {"name": name, "shown": shown, "letters": name[:2], "note": note}


@register.filter
def who(expressions: Sequence[str]) -> str:
    """Return approver expressions as people say them: `payments-leads or olga`."""
    names = []
    for expression in expressions or ():
        kind, _, name = str(expression).partition(":")
        if kind == "group":
            names.append(f"one of {name}")
        elif kind == "role-owner":
            names.append("an owner of the role")
        elif kind in {"manager", "ticket-assignee"}:
            names.append(
                "the requester's manager" if kind == "manager" else "the ticket's assignee"
            )
        else:
            names.append(name or kind)
    return " or ".join(names) or "nobody"


_SECONDS = re.compile(r"\b(\d{2,9}) seconds\b")


@register.filter
def humane(sentence: object) -> str:
    """Return a refusal's sentence with whole seconds as people say them, `900 seconds` as
    `15 min`, and without the ticks that mark a name for programs' readers.
    """
    return _SECONDS.sub(lambda found: duration(found[1]), visible(sentence).replace("`", ""))


@register.filter
def from_code(code: str) -> str:
    """Return the name of a refusal as words: `DurationTooLong` is "Duration too long"."""
    return re.sub(r"(?<!^)([A-Z])", lambda found: f" {found[1].lower()}", str(code))


@register.filter
def spoken(word: object) -> str:
    """Return a machine's word as people read it: `roles_found` is "roles found"."""
    return visible(word).replace("_", " ")


@register.filter
def observed(value: object) -> str:
    """Return a value of the evidence as it was seen: names of a target's roles stay as they are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(observed(one) for one in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{spoken(key)}: {observed(one)}" for key, one in value.items()) or "none"
    return visible(value)


@register.filter
def evidence_rows(evidence: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (label, value) of each fact of the evidence: when and how it was looked, what was
    found and cut, what stays, what nobody looked at. Facts of other names stand before the last.
    """
    names = sorted(evidence, key=lambda name: (_EVIDENCE_ORDER.get(name, _OTHER_FACTS), name))
    return [(spoken(name), observed(evidence[name])) for name in names]


@register.filter
def short(identifier: object) -> str:
    """Return the last eight digits of an id (UUIDv7 begins with the time, alike for many)."""
    return str(identifier).replace("-", "")[-8:]


@register.filter
def item(mapping: Any, key: str) -> Any:
    return mapping.get(key) if hasattr(mapping, "get") else getattr(mapping, key, None)


@register.filter
def whole_seconds(grant: Any) -> int:
    """Return how long a grant lasts in all: what it was approved for, and every extension. (It
    starts a moment after the time that was approved begins.)
    """
    if grant.starts_at is None or grant.ends_at is None:
        return int(grant.duration_seconds)
    lasts: dt.timedelta = grant.ends_at - grant.starts_at
    return max(round(lasts.total_seconds()), int(grant.duration_seconds))


@register.filter
def grant_state(grant: Any) -> str:
    """Return the code of the state that people see: a revocation that takes too long is STUCK."""
    return "STUCK" if board.is_stuck(grant, timezone.now()) else str(grant.state)
