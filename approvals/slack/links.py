"""Who clicked: a Slack account bound to one of ours, and whether it may act today.

The link is made by a code that a fresh web session shows, that is typed in Slack, and that the
person then confirms on the web, seeing which Slack account typed it. E-mail addresses only say
where to send a message, never who somebody is.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from approvals.slack import client
from approvals.slack.models import SlackInstallation, SlackLink, SlackLinkCode
from jit.audit import operations as audit
from jit.identity.models import User
from jit.kernel import tasks
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.kernel.errors import Conflict, DomainError, NotAllowed

CODE_LIFE = dt.timedelta(minutes=10)
STANDING_AGE = dt.timedelta(seconds=60)


class NotOurWorkspace(NotAllowed):
    """The click comes from another workspace or another app than the one set up here."""


class SlackNotLinked(NotAllowed):
    """The Slack account is linked to nobody here."""


class SlackGuest(NotAllowed):
    """Guests of the workspace don't decide."""


class SlackAccountDeleted(NotAllowed):
    """The Slack account was deactivated."""


class SlackStandingUnknown(DomainError):
    """Slack did not say whether this account is a full member."""

    status = 503


class AccountDisabled(NotAllowed):
    """The account behind the link is disabled."""


class LinkedAlready(Conflict):
    """The Slack account, or the account of ours, is linked to another one."""


class CodeUnknown(DomainError):
    """The code is unknown, used or too old."""


def installation() -> SlackInstallation | None:
    return SlackInstallation.objects.order_by("-checked_at").first()


def account_of(user: User) -> SlackLink | None:
    """Return this person's Slack account in our workspace, if it may act. Before the first call
    to Slack the workspace is not known yet; then any link is taken to be of it.
    """
    return link_of(user, only_good=True)


def link_of(user: User, *, only_good: bool = False) -> SlackLink | None:
    found = installation()
    rows = SlackLink.objects.select_related("user").filter(user=user)
    if found is not None:
        rows = rows.filter(team_id=found.team_id)
    return rows.filter(standing="").first() if only_good else rows.first()


def require_ours(*, team_id: str, user_team: str, app_id: str) -> SlackInstallation:
    """Raise NotOurWorkspace unless the payload is for our app, from our own workspace."""
    found = installation()
    if found is None:
        raise NotOurWorkspace("Slack is not set up here yet: an operator opens the set-up page.")
    home = {found.team_id, found.enterprise_id} - {""}
    strange_app = bool(app_id and found.app_id and app_id != found.app_id)
    if team_id not in home or (user_team and user_team not in home) or strange_app:
        raise NotOurWorkspace(
            "Only members of the organisation's own workspace can answer; use the web page."
        )
    return found


def clicker(*, team_id: str, user_team: str, slack_user_id: str, app_id: str) -> SlackLink:
    """Return the link of whoever acted. Raises NotOurWorkspace, SlackNotLinked, SlackGuest,
    SlackAccountDeleted and AccountDisabled, each saying what to do.
    """
    found = require_ours(team_id=team_id, user_team=user_team, app_id=app_id)
    link = (
        SlackLink.objects.select_related("user")
        .filter(team_id=found.team_id, slack_user_id=slack_user_id)
        .first()
    )
    if link is None:
        raise SlackNotLinked(
            "This Slack account is linked to nobody. Open your account page, choose Slack, and "
            "type the code it shows; meanwhile you can answer on the web."
        )
    refuse_standing(link.standing)
    if not link.user.is_active:
        raise AccountDisabled("Your account is disabled; ask an operator.")
    return link


def refuse_standing(standing: str) -> None:
    if standing == "guest":
        raise SlackGuest("Guests of the workspace can't decide here; use the web page.")
    if standing:
        raise SlackAccountDeleted("This Slack account is deactivated; link your current one.")


def standing_of(profile: Mapping[str, Any], *, team_id: str) -> str:
    """Return "" for a full member by Slack's `user` object, else why they may not act. One that
    does not say of which team it is, is of another.
    """
    if profile.get("deleted"):
        return "deleted"
    if profile.get("is_bot") or profile.get("is_stranger"):
        return "stranger"
    if profile.get("is_restricted") or profile.get("is_ultra_restricted"):
        return "guest"
    return "" if team_id and profile.get("team_id") == team_id else "stranger"


def refresh(link: SlackLink, *, now: dt.datetime) -> SlackLink:
    """Ask Slack whether the account is still a full member, unless it was asked a moment ago.
    Raises SlackStandingUnknown, SlackGuest or SlackAccountDeleted. Not inside a transaction.
    """
    if link.standing_at is None or now - link.standing_at >= STANDING_AGE:
        standing = look_up(link.slack_user_id, team_id=link.team_id)
        set_standing(link=link, standing=standing, now=now)
    refuse_standing(link.standing)
    return link


def look_up(slack_user_id: str, *, team_id: str) -> str:
    """Return the account's standing as Slack says it now. Raises SlackStandingUnknown, also where
    the answer is about somebody else than was asked for.
    """
    unknown = SlackStandingUnknown(
        "Slack did not answer whether your account is a full member, so nothing was done: "
        "try again, or use the web page."
    )
    try:
        answer = client.call(client.web(timeout=client.QUICK).users_info, user=slack_user_id)
    except client.Trouble as trouble:
        if trouble.code in {"user_not_found", "user_not_visible", "users_not_found"}:
            return "deleted"
        raise unknown from trouble
    profile = answer.get("user")
    if not isinstance(profile, Mapping) or profile.get("id") != slack_user_id:
        raise unknown
    return standing_of(profile, team_id=team_id)


def set_standing(*, link: SlackLink, standing: str, now: dt.datetime) -> None:
    link.standing, link.standing_at = standing, now
    link.save(update_fields=["standing", "standing_at"])


def standing_changed(*, team_id: str, profile: Mapping[str, Any], now: dt.datetime) -> None:
    """Slack says that a user changed: remember it at once, so that a leaver's click is refused."""
    link = SlackLink.objects.filter(team_id=team_id, slack_user_id=profile.get("id", "")).first()
    if link is not None:
        set_standing(link=link, standing=standing_of(profile, team_id=team_id), now=now)


# --- Making and ending a link ----------------------------------------------------------


def new_code(*, user: User, now: dt.datetime) -> str:
    """Return a fresh one-use code; earlier ones of this person open nothing any more."""
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    plain = "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(3))
    with transaction.atomic():
        SlackLinkCode.objects.filter(user=user, used_at__isnull=True).update(expires_at=now)
        SlackLinkCode(
            user=user, digest=_digest(plain), created_at=now, expires_at=now + CODE_LIFE
        ).save(force_insert=True)
    return plain


def _digest(plain: str) -> str:
    return hashlib.sha256(plain.strip().upper().encode()).hexdigest()


def type_code(
    *, plain: str, team_id: str, slack_user_id: str, slack_name: str, now: dt.datetime
) -> None:
    """Write down which Slack account typed the code; the person confirms it on the web.
    Raises CodeUnknown and LinkedAlready.
    """
    with transaction.atomic():
        code = (
            SlackLinkCode.objects.select_for_update()
            .filter(digest=_digest(plain), used_at__isnull=True, expires_at__gt=now)
            .first()
        )
        if code is None or (code.typed_at and code.slack_user_id != slack_user_id):
            raise CodeUnknown("This code is unknown, used or too old: make a new one on the web.")
        if SlackLink.objects.filter(team_id=team_id, slack_user_id=slack_user_id).exists():
            raise LinkedAlready("This Slack account is linked already; unlink it on the web first.")
        code.team_id, code.slack_user_id = team_id, slack_user_id
        code.slack_name, code.typed_at = slack_name[:200], now
        code.save(update_fields=["team_id", "slack_user_id", "slack_name", "typed_at"])


def typed_code(user: User, now: dt.datetime) -> SlackLinkCode | None:
    """Return the code of this person that waits for their word on the web."""
    return (
        SlackLinkCode.objects.filter(
            user=user, used_at__isnull=True, expires_at__gt=now, typed_at__isnull=False
        )
        .order_by("-created_at")
        .first()
    )


def code_waits(user: User, now: dt.datetime) -> bool:
    """Return whether a code of this person may still be typed."""
    return SlackLinkCode.objects.filter(
        user=user, used_at__isnull=True, expires_at__gt=now, typed_at__isnull=True
    ).exists()


def confirm(*, user: User, code_id: UUID, actor: Actor, now: dt.datetime) -> SlackLink:
    """Bind the Slack account that typed the code. Raises CodeUnknown, LinkedAlready, SlackGuest,
    SlackAccountDeleted, SlackStandingUnknown. Not inside a transaction.
    """
    code = typed_code(user, now)
    if code is None or code.pk != code_id:
        raise CodeUnknown("This code is used or too old: make a new one.")
    standing = look_up(code.slack_user_id, team_id=code.team_id)
    refuse_standing(standing)
    with transaction.atomic():
        used = SlackLinkCode.objects.filter(
            pk=code.pk, used_at__isnull=True, expires_at__gt=now
        ).update(used_at=now)
        if not used:
            raise CodeUnknown("This code is used, or a newer one was made: make a new one.")
        return bind(
            user=user,
            team_id=code.team_id,
            slack_user_id=code.slack_user_id,
            slack_name=code.slack_name,
            actor=actor,
            now=now,
        )


def bind(
    *,
    user: User,
    team_id: str,
    slack_user_id: str,
    slack_name: str,
    actor: Actor,
    now: dt.datetime,
) -> SlackLink:
    """Write the link of somebody whom the caller has seen to be both. Raises LinkedAlready."""
    link = SlackLink(
        user=user,
        team_id=team_id,
        slack_user_id=slack_user_id,
        slack_name=slack_name,
        linked_at=now,
        standing_at=now,
    )
    try:
        with transaction.atomic():
            link.save(force_insert=True)
            _record("slack.linked", link=link, actor=actor, now=now)
            tasks.enqueue_on_commit("approvals.slack.redraw_for", str(user.pk))
    except IntegrityError:
        raise LinkedAlready(
            "This Slack account or yours is linked to another one: unlink that first."
        ) from None
    return link


def unlink(*, user: User, actor: Actor, now: dt.datetime) -> bool:
    """End this person's link; return whether there was one."""
    with transaction.atomic():
        link = link_of(user)
        if link is None:
            return False
        _record("slack.unlinked", link=link, actor=actor, now=now)
        link.delete()
        tasks.enqueue_on_commit("approvals.slack.redraw_for", str(user.pk))
    return True


def _record(action: str, *, link: SlackLink, actor: Actor, now: dt.datetime) -> None:
    audit.record(
        action=action,
        actor=actor,
        now=now,
        subject=audit.Subject(type="user", id=str(link.user_id), label=link.user.username),
        body={"team": link.team_id, "slack_user": link.slack_user_id},
    )


def record_refusal(
    *,
    refusal: DomainError,
    team_id: str,
    slack_user_id: str,
    what: str,
    request_id: UUID | None,
    now: dt.datetime,
) -> None:
    """Put on the record that somebody without standing tried to act from Slack."""
    stranger = f"slack:{team_id[:40]}/{slack_user_id[:40]}"
    with transaction.atomic():
        audit.record(
            action="slack.refused",
            actor=Actor(kind=ActorKind.SERVICE, id=stranger, name=stranger, channel=Channel.SLACK),
            now=now,
            subject=audit.Subject(type="slack", id=stranger, label=stranger),
            body={"code": refusal.code, "detail": refusal.detail, "what": what[:100]},
            request_id=request_id,
        )
