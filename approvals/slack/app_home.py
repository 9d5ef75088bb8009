"""The App Home: what waits for me, and what I hold with the minutes left and a Done button."""

from __future__ import annotations

import datetime as dt
from typing import Any

from approvals import queries as approvals
from approvals.slack import blocks as b
from approvals.slack import client, config, limits, links
from approvals.slack.models import SlackLink
from approvals.slack.text import duration
from jit.elevation import queries as elevation
from jit.elevation.models import ElevationRequest, Grant
from jit.elevation.states import GrantState, RequestState
from jit.identity import queries as identity
from jit.identity.models import User
from jit.kernel import clock, db

SHOWN = 15
MINUTE = 60


def view(user: User, now: dt.datetime) -> dict[str, Any]:
    """Return the home of a linked person."""
    asks = list(approvals.inbox(user)[:SHOWN])
    held = list(elevation.live_grants_of(user)[:SHOWN])
    mine = list(elevation.requests().filter(requester=user, state=RequestState.PENDING)[:SHOWN])
    blocks: list[b.Block] = [
        b.header(f"{len(asks)} waiting for you, {len(held)} held"),
        b.actions(
            b.button("Request a role", "request", style="primary"),
            b.button("Open the inbox", "open", url=config.page("inbox/")),
        ),
        b.divider(),
    ]
    for row in asks:
        blocks += _ask(row)
    for grant in held:
        blocks += _held(grant, now)
    for row in mine:
        blocks.append(
            b.lines(
                b.fact("You asked for", row.role.slug),
                b.fact("Answer by", b.moment(row.lapses_at)),
            )
        )
    if not (asks or held or mine):
        blocks.append(b.context("Nothing waits for you and you hold nothing."))
    return _home(blocks)


def _ask(row: ElevationRequest) -> list[b.Block]:
    url = config.page(f"requests/{row.pk}/")
    return [
        b.lines(
            b.fact(
                "Asked of you",
                f"{row.role.slug} for {row.requester.username}, {duration(row.granted_seconds)}",
            ),
            b.fact("Answer by", b.moment(row.lapses_at)),
        ),
        b.actions(b.button("Open and answer", "open", url=url)),
    ]


def _held(grant: Grant, now: dt.datetime) -> list[b.Block]:
    if grant.state != GrantState.ACTIVE or grant.ends_at is None:
        return [b.lines(b.fact(grant.role.slug, grant.state.lower()))]
    left = max(int((grant.ends_at - now).total_seconds() // MINUTE), 0)
    return [
        b.lines(b.fact(grant.role.slug, f"{left} minutes left, until ", b.moment(grant.ends_at))),
        b.actions(b.button("Done, take it back", "done", value=grant.pk.hex)),
    ]


def stranger() -> dict[str, Any]:
    """Return the home of somebody who is linked to nobody here."""
    return _home(
        [
            b.lines([b.word("This Slack account is not linked to an account of JIT access yet.")]),
            b.actions(b.button("Link it", "link", url=config.page("account/slack/"))),
        ]
    )


def _home(blocks: list[b.Block]) -> dict[str, Any]:
    found = {"type": "home", "blocks": blocks}
    limits.check_view(found)
    return found


def opened(*, team_id: str, slack_user_id: str) -> None:
    """Draw the home for whoever opened it. Raises Trouble."""
    link = (
        SlackLink.objects.select_related("user")
        .filter(team_id=team_id, slack_user_id=slack_user_id, standing="", user__is_active=True)
        .first()
    )
    if link is None:
        _publish(slack_user_id, stranger())
        return
    SlackLink.objects.filter(pk=link.pk).update(home_seen_at=clock.now())
    _publish(slack_user_id, view(link.user, db.now()))


def redraw(user: User) -> None:
    """Draw the home of a person anew if they ever opened it. Raises Trouble."""
    link = links.account_of(user)
    if link is not None and link.home_seen_at is not None and link.user.is_active:
        _publish(link.slack_user_id, view(user, db.now()))


def redraw_by_id(user_id: str) -> None:
    user = identity.person(user_id)
    if user is not None:
        redraw(user)


def _publish(slack_user_id: str, home: dict[str, Any]) -> None:
    client.call(client.web().views_publish, user_id=slack_user_id, view=home)
