"""The small built-in tracker: tickets of installations that have no other, and their comments."""

from __future__ import annotations

import re

from django.db import models
from django.db.models import Q

PREFIX = "OPS"
LONGEST_TITLE = 300
LONGEST_DESCRIPTION = 20_000
_KEY = re.compile(rf"{PREFIX}-([1-9][0-9]{{0,17}})", re.ASCII | re.IGNORECASE)


def number_of(key: str) -> int:
    """Return the ticket's number in a key such as `OPS-12`; 0, which no ticket has, for
    anything else.
    """
    match = _KEY.fullmatch(key)
    return int(match[1]) if match else 0


class Status(models.TextChoices):
    OPEN = "OPEN", "Open"
    CLOSED = "CLOSED", "Closed"


class LocalTicket(models.Model):
    """A ticket of the built-in tracker. Its key is `OPS-<id>`, counted by the database;
    `severity` runs from 1 (worst) to 5; `assignee` is a username, or empty. `changed_by` lists
    everybody who changed what policy reads of it; it is null for a ticket older than the list.
    """

    id = models.BigAutoField(primary_key=True)
    title = models.CharField(max_length=LONGEST_TITLE)
    description = models.TextField(blank=True, max_length=LONGEST_DESCRIPTION)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    severity = models.PositiveSmallIntegerField()
    assignee = models.CharField(max_length=150, blank=True)
    service = models.CharField(max_length=100, blank=True)
    type = models.CharField(max_length=40, default="incident")
    opened_by = models.CharField(max_length=150)
    changed_by = models.JSONField(null=True, default=list)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="local_ticket_status_known"
            ),
            models.CheckConstraint(
                condition=Q(severity__gte=1, severity__lte=5), name="local_ticket_severity_known"
            ),
            models.CheckConstraint(
                condition=Q(status=Status.OPEN.value, closed_at__isnull=True)
                | Q(status=Status.CLOSED.value, closed_at__isnull=False),
                name="local_ticket_closed_at_when_closed",
            ),
        ]
        indexes = [models.Index(fields=["status", "-id"], name="local_ticket_by_status")]

    def __str__(self) -> str:
        return self.key

    @property
    def key(self) -> str:
        return f"{PREFIX}-{self.pk}"

    @property
    def is_open(self) -> bool:
        return self.status == Status.OPEN


class LocalComment(models.Model):
    """What was written back under a ticket; `marker` makes it happen once."""

    id = models.BigAutoField(primary_key=True)
    ticket = models.ForeignKey(LocalTicket, on_delete=models.PROTECT, related_name="comments")
    text = models.CharField(max_length=4000)
    marker = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["ticket", "marker"], name="local_comment_once")
        ]

    def __str__(self) -> str:
        return f"comment {self.marker} on {self.ticket_id}"
