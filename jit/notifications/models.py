"""The outbox, what people want to hear where, and the endpoints of other programs."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from jit.kernel.fields import Uuid7Field
from jit.notifications.kinds import IN_APP, TICKET, WEBHOOK, Kind

LONGEST_URL = 500


class Outcome(models.TextChoices):
    """What became of one message to one place. Only WAITING ones are worked on."""

    WAITING = "WAITING", "Waiting"
    DELIVERED = "DELIVERED", "Delivered"
    FAILED = "FAILED", "Failed"
    EXPIRED = "EXPIRED", "Dropped"


class WebhookEndpoint(models.Model):
    """Where another program listens. The secret signs what is sent to it (Standard Webhooks);
    after a change the old one signs too, until `old_secret_until`. No `kinds` means all.
    """

    id = Uuid7Field()
    name = models.CharField(max_length=100)
    url = models.CharField(max_length=LONGEST_URL)
    sealed_secret = models.BinaryField()
    sealed_old_secret = models.BinaryField(null=True, blank=True)
    old_secret_until = models.DateTimeField(null=True, blank=True)
    kinds = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    failing_since = models.DateTimeField(null=True, blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.CharField(max_length=300, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(removed_at__isnull=True),
                name="one_webhook_endpoint_per_name",
            ),
            models.CheckConstraint(
                condition=Q(enabled=False) | Q(removed_at__isnull=True, disabled_at__isnull=True),
                name="enabled_webhook_endpoint_is_there",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def address(pk: uuid.UUID) -> str:
        """Return what the secrets of row `pk` are sealed for."""
        return f"notifications.webhook:{pk}:secret"

    def audit_links(self) -> dict[str, Any]:
        return {}


class Preference(models.Model):
    """What one person chose for one kind and channel; without a row the default holds."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="notification_preferences",
    )
    kind = models.CharField(max_length=40)
    channel = models.CharField(max_length=20)
    wanted = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "kind", "channel"], name="one_preference_per_kind_and_channel"
            ),
            models.CheckConstraint(
                condition=~Q(channel=IN_APP), name="the_inbox_is_not_a_preference"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel}: {self.wanted}"


class Notification(models.Model):
    """One message to one place: a person through a channel, an endpoint, or the ticket.

    Those of the channel `in_app` are the inbox itself. `key` makes an event heard once: a
    second one with the same key to the same place is not written. `lane` is what fails
    together (a channel, or one endpoint) and is worked on by one worker at a time; the lease
    of the row outlives a killed worker. After `expires_at` it is no longer worth telling.
    """

    id = Uuid7Field()
    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=40)
    channel = models.CharField(max_length=20)
    lane = models.CharField(max_length=60)
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="notifications",
    )
    endpoint = models.ForeignKey(
        WebhookEndpoint,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="notifications",
    )
    subject_type = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=100)
    subject_label = models.CharField(max_length=200)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.WAITING.value)
    reason = models.CharField(max_length=500, blank=True)
    receipt = models.CharField(max_length=200, blank=True)
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["key", "recipient", "channel"],
                condition=Q(recipient__isnull=False),
                name="told_once_per_person_and_channel",
            ),
            models.UniqueConstraint(
                fields=["key", "endpoint"],
                condition=Q(endpoint__isnull=False),
                name="told_once_per_endpoint",
            ),
            models.UniqueConstraint(
                fields=["key"],
                condition=Q(channel=TICKET),
                name="told_once_per_ticket",
            ),
            models.CheckConstraint(
                condition=Q(recipient__isnull=False, endpoint__isnull=True)
                | Q(recipient__isnull=True, endpoint__isnull=False, channel=WEBHOOK)
                | Q(recipient__isnull=True, endpoint__isnull=True, channel=TICKET),
                name="notification_goes_to_one_place",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in Kind]), name="notification_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(outcome=Outcome.WAITING.value, settled_at__isnull=True)
                | Q(outcome__in=["DELIVERED", "FAILED", "EXPIRED"], settled_at__isnull=False),
                name="notification_settled_with_a_time",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="notification_expires_later"
            ),
        ]
        indexes = [
            models.Index(
                fields=["lane", "next_try_at"],
                condition=Q(outcome=Outcome.WAITING.value),
                name="notification_due",
            ),
            models.Index(
                fields=["lease_until"],
                condition=Q(outcome=Outcome.WAITING.value, lease_until__isnull=False),
                name="notification_leased",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(outcome=Outcome.WAITING.value),
                name="notification_stale",
            ),
            models.Index(
                fields=["recipient", "-created_at", "-id"],
                condition=Q(channel=IN_APP),
                name="notification_inbox",
            ),
            models.Index(
                fields=["recipient"],
                condition=Q(channel=IN_APP, read_at__isnull=True),
                name="notification_unread",
            ),
            models.Index(fields=["subject_type", "subject_id"], name="notification_by_subject"),
            models.Index(fields=["created_at"], name="notification_oldest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel}"

    @property
    def goes_to(self) -> str:
        """Return the person, the endpoint or the ticket, by name."""
        return str(self.recipient or self.endpoint or self.payload.get("ticket", ""))

    @property
    def arrived(self) -> bool:
        """Return whether it is where it was to go. The inbox is this table, so what goes there
        has arrived once it is written; its WAITING is about the hint to open pages only.
        """
        return self.channel == IN_APP or self.outcome == Outcome.DELIVERED
