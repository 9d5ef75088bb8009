"""`/jit`: request, my, done, status, link. A command opens or shows; typed text grants nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from approvals import queries as approvals
from approvals.slack import blocks as b
from approvals.slack import config, interactions, links
from approvals.slack.replies import ephemeral
from approvals.slack.text import duration
from jit.elevation import queries as elevation
from jit.elevation.states import GrantState, RequestState
from jit.identity.authentication import actor_for
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import Channel
from jit.kernel.errors import DomainError, InvalidInput
from jit.workflow import revoke

HELP = (
    "/jit request: ask for a role.   /jit my: what you hold and asked for.   "
    "/jit done [role]: take a role back early.   /jit status: what waits.   "
    "/jit link CODE: link this Slack account (the code is on your account page)."
)
SHOWN = 10

type Answer = dict[str, Any]


def answer(form: Mapping[str, Any], *, now: dt.datetime) -> Answer:
    """Return the reply to a slash command; only who typed it sees it."""
    words = str(form.get("text", "")).replace("\0", "").split()
    verb = words[0].lower() if words else "help"
    who = {
        "team": str(form.get("team_id", ""))[:40],
        "user_team": "",
        "slack_user": str(form.get("user_id", ""))[:40],
        "app": str(form.get("api_app_id", ""))[:40],
    }
    try:
        if verb == "link":
            return _link(form, who, words, now)
        if verb == "request":
            return interactions.open_modal(
                {**who, "action": "request", "trigger_id": str(form.get("trigger_id", ""))[:200]},
                now=now,
            )
        if verb not in {"my", "done", "status"}:
            return ephemeral(HELP)
        link = links.clicker(
            team_id=who["team"],
            user_team="",
            slack_user_id=who["slack_user"],
            app_id=who["app"],
        )
        link = links.refresh(link, now=now)
        if verb == "done":
            return _done(link.user, words[1:])
        return _mine(link.user) if verb == "my" else _status(link.user)
    except DomainError as refusal:
        if isinstance(
            refusal,
            (
                links.NotOurWorkspace,
                links.SlackNotLinked,
                links.SlackGuest,
                links.SlackAccountDeleted,
                links.AccountDisabled,
            ),
        ):
            links.record_refusal(
                refusal=refusal,
                team_id=who["team"],
                slack_user_id=who["slack_user"],
                what=f"/jit {verb[:20]}",
                request_id=None,
                now=now,
            )
        return ephemeral(refusal.detail)


def _link(
    form: Mapping[str, Any], who: Mapping[str, str], words: list[str], now: dt.datetime
) -> Answer:
    if len(words) < 2:  # noqa: PLR2004 -- the word and the code
        page = config.page("account/slack/")
        return ephemeral(f"Open {page} and type here the code that it shows: /jit link CODE")
    links.require_ours(team_id=who["team"], user_team="", app_id=who["app"])
    links.type_code(
        plain=words[1],
        team_id=who["team"],
        slack_user_id=who["slack_user"],
        slack_name=str(form.get("user_name", "")),
        now=now,
    )
    return ephemeral("Almost there: go back to the web page and confirm that this is you.")


def _mine(user: User) -> Answer:
    held = list(elevation.live_grants_of(user)[:SHOWN])
    asked = list(elevation.requests().filter(requester=user, state=RequestState.PENDING)[:SHOWN])
    rows = [
        b.fact(grant.role.slug, f"{grant.state.lower()}, until ", b.moment(grant.ends_at))
        if grant.ends_at and grant.state == GrantState.ACTIVE
        else b.fact(grant.role.slug, grant.state.lower())
        for grant in held
    ]
    rows += [b.fact(row.role.slug, "asked, answer by ", b.moment(row.lapses_at)) for row in asked]
    if not rows:
        return ephemeral("You hold nothing and asked for nothing.")
    return ephemeral("Yours now:", b.lines(*rows))


def _done(user: User, words: list[str]) -> Answer:
    held = [
        grant
        for grant in elevation.live_grants_of(user)
        if grant.state != GrantState.REVOKING and (not words or grant.role.slug == words[0])
    ]
    if not held:
        return ephemeral("You hold nothing of that name." if words else "You hold nothing.")
    if len(held) > 1:
        names = ", ".join(grant.role.slug for grant in held[:SHOWN])
        raise InvalidInput(f"You hold {names}: say which, as in /jit done {held[0].role.slug}")
    grant = revoke.give_back(
        grant_id=held[0].pk, user=user, actor=actor_for(user, channel=Channel.SLACK)
    )
    return ephemeral(f"{grant.role.slug} is being taken back.")


def _status(user: User) -> Answer:
    asks = list(approvals.inbox(user)[:SHOWN])
    now = db.now()
    held = [grant for grant in elevation.live_grants_of(user) if grant.ends_at]
    rows = [
        b.fact(
            "Asked of you",
            f"{row.role.slug} for {row.requester.username}, {duration(row.granted_seconds)}",
        )
        for row in asks
    ]
    rows += [
        b.fact(
            grant.role.slug,
            f"{max(int((grant.ends_at - now).total_seconds() // 60), 0)} minutes left",
        )
        for grant in held
        if grant.ends_at
    ]
    if not rows:
        return ephemeral("Nothing waits for you and you hold nothing.")
    return ephemeral(
        "Waiting and held:",
        b.lines(*rows),
        b.actions(b.button("Open the inbox", "open", url=config.page("inbox/"))),
    )
