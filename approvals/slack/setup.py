"""Which workspace our token opens, and whether everything Slack needs is in place."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.cache import cache
from django.db import transaction

from approvals.slack import client, config, links, manifest
from approvals.slack.models import SlackInstallation
from jit.audit import operations as audit
from jit.kernel import clock
from jit.kernel.actor import CLOCK, Actor

log = logging.getLogger(__name__)

SIGNED, UNSIGNED = "slack:signed-at", "slack:unsigned-at"
KEPT = 30 * 86400
NOTED_EVERY = 20.0
_noted: dict[bool, float] = {}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at on the set-up page."""

    what: str
    ok: bool | None
    detail: str


def ensure_installation() -> SlackInstallation:
    """Return the workspace of our token, asking Slack the first time. Raises Trouble."""
    return links.installation() or learn(actor=CLOCK, now=clock.now())


def learn(*, actor: Actor, now: dt.datetime) -> SlackInstallation:
    """Ask Slack which workspace and app our token belongs to, and remember it. Raises Trouble.
    Not inside a transaction.
    """
    web = client.web()
    answer = client.call(web.auth_test)
    app_id = str(answer.get("app_id", ""))
    if not app_id and answer.get("bot_id"):
        try:
            app_id = str(client.call(web.bots_info, bot=answer["bot_id"])["bot"].get("app_id", ""))
        except (client.Trouble, KeyError):
            log.warning(
                "Slack did not say the id of our app; its payloads are not compared with it"
            )
    with transaction.atomic():
        row, made = SlackInstallation.objects.update_or_create(
            team_id=answer["team_id"],
            defaults={
                "team_name": str(answer.get("team", ""))[:200],
                "enterprise_id": answer.get("enterprise_id") or "",
                "app_id": app_id,
                "bot_user_id": answer.get("user_id", ""),
                "checked_at": now,
            },
        )
        if made:
            audit.record(
                action="slack.installed",
                actor=actor,
                now=now,
                subject=audit.Subject(type="slack", id=row.team_id, label=row.team_id),
                body={"team": row.team_id, "app": app_id},
            )
    return row


def findings(*, actor: Actor, now: dt.datetime) -> list[Finding]:
    """Look at everything that Slack needs here, one finding each. Not inside a transaction."""
    found = config.current()
    if found is None:
        return [Finding("Bot token", ok=False, detail="Set JIT_SLACK_BOT_TOKEN_FILE and restart.")]
    return [*_token(actor=actor, now=now), _secret(found), _app_token(found)]


def _token(*, actor: Actor, now: dt.datetime) -> Iterator[Finding]:
    try:
        row = learn(actor=actor, now=now)
        response = client.web().auth_test()
    except (client.Trouble, Exception) as trouble:  # noqa: BLE001 -- whatever fails is the finding
        yield Finding("Bot token", ok=False, detail=f"Slack does not take it: {trouble}")
        return
    yield Finding("Bot token", ok=True, detail=f"opens {row.team_name or row.team_id}")
    header = {name.lower(): value for name, value in response.headers.items()}.get("x-oauth-scopes")
    if not header:
        yield Finding("Scopes", ok=None, detail="Slack did not say which scopes the token has")
        return
    given = {scope.strip() for scope in str(header).split(",")}
    missing = sorted(set(manifest.SCOPES) - given)
    yield Finding(
        "Scopes",
        ok=not missing,
        detail=f"missing: {', '.join(missing)}" if missing else "all that are needed",
    )


def _secret(found: config.Config) -> Finding:
    if not found.signing_secrets and not found.app_token:
        return Finding(
            "Signing secret", ok=False, detail="Set JIT_SLACK_SIGNING_SECRET_FILE and restart."
        )
    good, bad = _seen(SIGNED), _seen(UNSIGNED)
    if good and (not bad or good >= bad):
        return Finding("Signing secret", ok=True, detail=f"last fitted at {good} UTC")
    if bad:
        return Finding(
            "Signing secret",
            ok=False,
            detail=f"at {bad} UTC a request did not fit: compare it with the app's page at Slack",
        )
    return Finding("Signing secret", ok=None, detail="nothing came yet: type /jit in Slack")


def _app_token(found: config.Config) -> Finding:
    if not found.app_token:
        return Finding("Socket Mode", ok=None, detail="not used: Slack calls our addresses")
    try:
        web = client.web(token=found.app_token)
        client.call(web.apps_connections_open, app_token=found.app_token)
    except client.Trouble as trouble:
        return Finding("Socket Mode", ok=False, detail=f"the app token is refused: {trouble}")
    return Finding("Socket Mode", ok=True, detail="a connection could be opened")


def saw_signature(*, good: bool, now: dt.datetime) -> None:
    """Remember for the set-up page when a signature last fitted or did not, at most once in
    NOTED_EVERY seconds for each process; a lost cache costs only that.
    """
    if time.monotonic() < _noted.get(good, 0.0):
        return
    _noted[good] = time.monotonic() + NOTED_EVERY
    try:
        cache.set(SIGNED if good else UNSIGNED, f"{now:%Y-%m-%d %H:%M:%S}", timeout=KEPT)
    except Exception:  # a note, no more
        log.debug("could not note a signature", exc_info=True)


def _seen(name: str) -> str:
    try:
        return str(cache.get(name) or "")
    except Exception:  # noqa: BLE001 -- a note, no more
        return ""
