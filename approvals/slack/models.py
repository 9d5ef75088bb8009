"""Slack's side of the books: the workspace, who is who there, every posted copy, every payload."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q

from jit.elevation.models import ElevationRequest
from jit.kernel.fields import Uuid7Field


def new_handle() -> str:
    """Return an opaque name for a posted copy: 128 random bits."""
    return secrets.token_urlsafe(16)


class SlackInstallation(models.Model):
    """The workspace that our bot token opens, as Slack itself said; whoever comes from another
    one is a stranger.
    """

    team_id = models.CharField(max_length=40, unique=True)
    team_name = models.CharField(max_length=200, blank=True)
    enterprise_id = models.CharField(max_length=40, blank=True)
    app_id = models.CharField(max_length=40, blank=True)
    bot_user_id = models.CharField(max_length=40, blank=True)
    checked_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.team_id


class SlackLink(models.Model):
    """One Slack account is one account of ours, both ways; made in a fresh web session.

    `standing` is empty for a full member, else why they may not act (`guest`, `deleted`).
    """

    id = Uuid7Field()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="slack_links"
    )
    team_id = models.CharField(max_length=40)
    slack_user_id = models.CharField(max_length=40)
    slack_name = models.CharField(max_length=200, blank=True)
    linked_at = models.DateTimeField()
    standing = models.CharField(max_length=20, blank=True)
    standing_at = models.DateTimeField(null=True, blank=True)
    home_seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team_id", "slack_user_id"], name="slack_account_linked_once"
            ),
            models.UniqueConstraint(fields=["team_id", "user"], name="slack_one_account_each"),
        ]

    def __str__(self) -> str:
        return f"{self.slack_user_id} is {self.user_id}"


class SlackLinkCode(models.Model):
    """A one-use code, shown on the web and typed in Slack; the person then confirms on the web
    the account that typed it. Only the code's SHA-256 is kept.
    """

    id = Uuid7Field()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="slack_link_codes"
    )
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    team_id = models.CharField(max_length=40, blank=True)
    slack_user_id = models.CharField(max_length=40, blank=True)
    slack_name = models.CharField(max_length=200, blank=True)
    typed_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"code of {self.user_id}"


class Audience(models.TextChoices):
    """For whom a copy is drawn."""

    APPROVER = "approver", "an approver"
    REQUESTER = "requester", "the requester"
    CHANNEL = "channel", "a channel"


class Fate(models.TextChoices):
    """What became of a copy."""

    WAITING = "waiting", "not posted yet"
    POSTED = "posted", "posted"
    DROPPED = "dropped", "too late to be of use"
    LOST = "lost", "Slack won't take it"


class SlackMessage(models.Model):
    """One copy of a request in Slack, redrawn at every change.

    `wanted_version` counts the changes of the request, `drawn_version` is the one on show. The
    lease keeps two workers from drawing one copy; `attempted_at` is set before a post, so that
    one whose answer was lost is looked for instead of posted twice.
    """

    id = Uuid7Field()
    handle = models.CharField(max_length=32, unique=True)
    request = models.ForeignKey(
        ElevationRequest, on_delete=models.PROTECT, related_name="slack_messages"
    )
    audience = models.CharField(max_length=10, choices=Audience.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="slack_messages",
    )
    channel = models.CharField(max_length=40, blank=True)
    ts = models.CharField(max_length=40, blank=True)
    fate = models.CharField(max_length=10, choices=Fate.choices, default=Fate.WAITING)
    fingerprint = models.CharField(max_length=64, blank=True)
    wanted_version = models.PositiveIntegerField(default=1)
    drawn_version = models.PositiveIntegerField(default=0)
    drawn_digest = models.CharField(max_length=64, blank=True)
    attempted_at = models.DateTimeField(null=True, blank=True)
    posted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    lease = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["request", "audience", "user"],
                nulls_distinct=False,
                name="slack_one_copy_each",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(fate__in=["waiting", "posted"])
                & Q(drawn_version__lt=models.F("wanted_version")),
                name="slack_message_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.audience} copy of {self.request_id}"


class SlackPayload(models.Model):
    """What came in from Slack, remembered so that a second delivery gets the first answer.

    `body` holds the few fields that are acted on. `queued` ones are worked off after the
    acknowledgement, each once.
    """

    id = Uuid7Field()
    digest = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=30)
    body = models.JSONField(default=dict)
    received_at = models.DateTimeField()
    answer = models.JSONField(null=True, blank=True)
    queued = models.BooleanField(default=False)
    done_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=300, blank=True)
    tries = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["received_at"],
                condition=Q(queued=True, done_at__isnull=True),
                name="slack_payload_due",
            ),
            models.Index(fields=["received_at"], name="slack_payload_old"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
