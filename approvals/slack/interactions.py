"""Buttons and modals: what a click means, and what the clicker hears."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from approvals import operations
from approvals.slack import asking, client, copies, links, modals, replies
from approvals.slack.models import SlackLink
from approvals.states import Verdict
from jit.elevation import queries as elevation
from jit.identity.authentication import actor_for
from jit.kernel import clock, tasks
from jit.kernel.actor import Channel
from jit.kernel.errors import DomainError, NotFound
from jit.workflow import revoke

log = logging.getLogger(__name__)

QUEUED = frozenset({"approve", "done"})
"""Acts whose answer is not in the acknowledgement: written down, acknowledged, then done."""
MODALS = frozenset({"deny", "less", "request"})
MINUTE = 60

type Answer = dict[str, Any]


class StaleButton(NotFound):
    """The button belongs to no copy that is known here."""


# --- Reading a payload: only what the signature vouches for ------------------------------


def act_of(payload: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the few fields of a block_actions payload that are acted on, or None."""
    found = payload.get("actions")
    first = found[0] if isinstance(found, list) and found else None
    if not isinstance(first, dict):
        return None
    return {
        "action": _text(first, "action_id", 60),
        "value": _text(first, "value", 200),
        **who_of(payload),
        "trigger_id": _text(payload, "trigger_id", 200),
        "response_url": _text(payload, "response_url", 500),
        "channel": _text(_inner(payload, "container"), "channel_id", 40)
        or _text(_inner(payload, "channel"), "id", 40),
    }


def who_of(payload: Mapping[str, Any]) -> dict[str, str]:
    """Return who acted and where; `enterprise` may be absent, null or an object."""
    user, team = _inner(payload, "user"), _inner(payload, "team")
    enterprise = _inner(payload, "enterprise")
    return {
        "slack_user": _text(user, "id", 40),
        "user_team": _text(user, "team_id", 40),
        "team": _text(team, "id", 40) or _text(enterprise, "id", 40),
        "app": _text(payload, "api_app_id", 40),
    }


def _inner(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = payload.get(name)
    return found if isinstance(found, dict) else {}


def _text(payload: Mapping[str, Any], name: str, longest: int) -> str:
    found = payload.get(name)
    return found.replace("\0", "")[:longest] if isinstance(found, str) else ""


def callback_of(payload: Mapping[str, Any]) -> str:
    return _text(_inner(payload, "view"), "callback_id", 20)


def _target(value: str) -> tuple[UUID, UUID | None]:
    """Return (request, step) behind a button's value. Raises StaleButton."""
    handle, _, step = value.partition(".")
    copy = copies.by_handle(handle) if handle else None
    if copy is None:
        raise StaleButton("This button belongs to no message that is known here: open the inbox.")
    try:
        return copy.request_id, UUID(step) if step else None
    except ValueError:
        raise StaleButton("This button is damaged: open the request on the web.") from None


def _clicker(who: Mapping[str, Any], *, now: dt.datetime) -> SlackLink:
    link = links.clicker(
        team_id=who["team"],
        user_team=who["user_team"],
        slack_user_id=who["slack_user"],
        app_id=who["app"],
    )
    return links.refresh(link, now=now)


# --- After the acknowledgement ---------------------------------------------------------


def work(act: Mapping[str, Any]) -> str:
    """Do what a queued click asks for and tell the clicker; return the outcome in a word or two.
    Safe to repeat.
    """
    try:
        told = _done(act) if act["action"] == "done" else _approve(act)
    except DomainError as refusal:
        replies.whisper(act, refusal.detail)
        return refusal.code
    if told:
        replies.whisper(act, told)
    return "done"


def _approve(act: Mapping[str, Any]) -> str:
    now = clock.now()
    request_id: UUID | None = None
    try:
        request_id, step_id = _target(act["value"])
        link = _clicker(act, now=now)
    except DomainError as refusal:
        _refused(refusal, act, request_id, now=now)
        raise
    try:
        outcome = operations.decide(
            request_id=request_id,
            approver=link.user,
            verdict=Verdict.APPROVE,
            comment="",
            duration_seconds=None,
            second_factor=False,
            actor=actor_for(link.user, channel=Channel.SLACK),
            now=now,
            step_id=step_id,
        )
    except DomainError:
        redraw(request_id)
        raise
    if not outcome.repeated:
        return ""
    redraw(request_id)
    return f"You had approved this at {clock.utc_words(outcome.decision.decided_at)}; it stands."


def redraw(request_id: UUID) -> None:
    """Ask for a new drawing of every copy: what was clicked may have been out of date."""
    tasks.enqueue_on_commit("approvals.slack.redraw", str(request_id))


def _refused(
    refusal: DomainError, act: Mapping[str, Any], request_id: UUID | None, *, now: dt.datetime
) -> None:
    links.record_refusal(
        refusal=refusal,
        team_id=act["team"],
        slack_user_id=act["slack_user"],
        what=str(act.get("action", "")),
        request_id=request_id,
        now=now,
    )


def _done(act: Mapping[str, Any]) -> str:
    now = clock.now()
    try:
        link = _clicker(act, now=now)
    except DomainError as refusal:
        _refused(refusal, act, None, now=now)
        raise
    try:
        grant_id = UUID(act["value"])
    except ValueError:
        raise StaleButton("This button is damaged: open your grants on the web.") from None
    grant = elevation.grant_visible_to(link.user, grant_id)
    revoke.give_back(
        grant_id=grant.pk, user=link.user, actor=actor_for(link.user, channel=Channel.SLACK)
    )
    tasks.enqueue_on_commit("approvals.slack.home", str(link.user_id))
    return f"{grant.role.slug} is being taken back."


# --- Modals ----------------------------------------------------------------------------


def open_modal(act: Mapping[str, Any], *, now: dt.datetime) -> Answer:
    """Open the modal that the button is for; its trigger lives three seconds and opens one."""
    try:
        link = links.clicker(
            team_id=act["team"],
            user_team=act["user_team"],
            slack_user_id=act["slack_user"],
            app_id=act["app"],
        )
        if act["action"] == "request":
            view = modals.request()
        else:
            request_id, _ = _target(act["value"])
            row = elevation.request_visible_to(link.user, request_id)
            view = modals.decision(act["action"], row=row, value=act["value"])
    except DomainError as refusal:
        _refused(refusal, act, None, now=now)
        view = modals.told(refusal.detail)
    return _open(act, view)


def open_request(payload: Mapping[str, Any], *, now: dt.datetime) -> Answer:
    return open_modal(
        {
            "action": "request",
            "trigger_id": _text(payload, "trigger_id", 200),
            **who_of(payload),
        },
        now=now,
    )


def _open(act: Mapping[str, Any], view: dict[str, Any]) -> Answer:
    web = client.web(timeout=client.QUICK)
    try:
        client.call(web.views_open, trigger_id=act["trigger_id"], view=view)
    except client.Trouble as trouble:
        log.warning("Slack did not open a modal: %s", trouble)
        said = f"Slack did not open the form in time. Press again, or go to {settings.BASE_URL}/."
        if "response_url" not in act:  # A command hears it as its answer.
            return replies.ephemeral(said)
        replies.whisper(act, said)
    return {}


def submitted(payload: Mapping[str, Any], *, digest: str, now: dt.datetime) -> Answer:
    """Answer a modal: {} closes it, `errors` stand beside its fields, `update` shows a sentence."""
    who = who_of(payload)
    kind = callback_of(payload)
    try:
        link = _clicker(who, now=now)
    except DomainError as refusal:
        _refused(refusal, {**who, "action": kind}, None, now=now)
        return modals.instead(refusal.detail)
    if kind == "request":
        return asking.submitted(payload, link=link, digest=digest, now=now)
    if kind in {"deny", "less"}:
        return _decided(payload, kind=kind, link=link, now=now)
    return {}


def _decided(payload: Mapping[str, Any], *, kind: str, link: SlackLink, now: dt.datetime) -> Answer:
    view = _inner(payload, "view")
    comment = modals.typed(view, "comment").replace("\0", "")
    seconds: int | None = None
    if kind == "less":
        minutes = modals.typed(view, "minutes").strip()
        if not (minutes.isascii() and minutes.isdigit() and 0 < int(minutes[:6]) == int(minutes)):
            return modals.errors({"minutes": "A whole number of minutes, at least 1."})
        seconds = int(minutes) * MINUTE
    try:
        request_id, step_id = _target(_text(view, "private_metadata", 200))
    except DomainError as refusal:
        return modals.instead(refusal.detail)
    try:
        outcome = operations.decide(
            request_id=request_id,
            approver=link.user,
            verdict=Verdict.DENY if kind == "deny" else Verdict.APPROVE,
            comment=comment,
            duration_seconds=seconds,
            second_factor=False,
            actor=actor_for(link.user, channel=Channel.SLACK),
            now=now,
            step_id=step_id,
        )
    except DomainError as refusal:
        beside = {
            {"duration_seconds": "minutes"}.get(name, name): " ".join(words)
            for name, words in refusal.fields.items()
        }
        redraw(request_id)
        fields = {name: words for name, words in beside.items() if name in {"comment", "minutes"}}
        return modals.errors(fields) if fields else modals.instead(refusal.detail)
    if outcome.repeated:
        return modals.instead("You had said this before; it stands.")
    return {}


def suggest(payload: Mapping[str, Any], *, now: dt.datetime) -> Answer:
    """Answer the role search of the request modal: the roles this person may ask for first."""
    who = who_of(payload)
    try:
        link = links.clicker(
            team_id=who["team"],
            user_team=who["user_team"],
            slack_user_id=who["slack_user"],
            app_id=who["app"],
        )
    except DomainError:
        return {"options": []}
    return {"options": asking.options(user=link.user, q=_text(payload, "value", 100), now=now)}
