"""The elevation request, the grant it leads to, and the review after a break-glass."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from jit.catalog.models import Role, Target
from jit.elevation.states import LIVE, EndReason, GrantState, RequestState, ReviewState
from jit.kernel.fields import Uuid7Field
from jit.kernel.loading import LoadedQuickly

LONGEST_JUSTIFICATION = 4000


class ElevationRequest(LoadedQuickly):
    """The ask. `ticket` is the snapshot frozen at submission, `ruling` what policy said then;
    `duration_seconds` what was asked for, `granted_seconds` what may be granted (an approver
    may make it shorter, never longer). `approvers` lists who may see and answer it, resolved
    to `user:…` and `group:…` when it was made.
    """

    id = Uuid7Field()
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="elevation_requests"
    )
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="elevation_requests")
    ticket_system = models.CharField(max_length=40)
    ticket_key = models.CharField(max_length=200)
    ticket = models.JSONField(default=dict)
    justification = models.CharField(max_length=LONGEST_JUSTIFICATION)
    duration_seconds = models.PositiveIntegerField()
    granted_seconds = models.PositiveIntegerField()
    starts_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=10, default=RequestState.PENDING.value)
    channel = models.CharField(max_length=10)
    ruling = models.JSONField(default=dict)
    break_glass = models.BooleanField(default=False)
    extends = models.ForeignKey(
        "Grant", null=True, blank=True, on_delete=models.PROTECT, related_name="extensions"
    )
    second_factor_at = models.DateTimeField(null=True, blank=True)
    approvers = models.JSONField(default=list, blank=True)
    extension_applied_at = models.DateTimeField(null=True, blank=True)
    idempotency_key = models.CharField(max_length=200, blank=True)
    ask_digest = models.CharField(max_length=64, blank=True, default="", db_default="")
    """What was asked with that key: another ask with it is refused."""
    created_at = models.DateTimeField()
    lapses_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in RequestState]),
                name="request_state_known",
            ),
            models.CheckConstraint(
                condition=Q(duration_seconds__gte=10, granted_seconds__gte=10)
                & Q(granted_seconds__lte=models.F("duration_seconds")),
                name="request_duration_bounded",
            ),
            models.UniqueConstraint(
                fields=["requester", "role"],
                condition=Q(state=RequestState.PENDING.value),
                name="one_pending_request_per_role",
            ),
            models.UniqueConstraint(
                fields=["requester", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="request_idempotency",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="request_newest"),
            models.Index(fields=["requester", "-created_at", "-id"], name="request_by_requester"),
            models.Index(fields=["ticket_system", "ticket_key"], name="request_by_ticket"),
            models.Index(fields=["role", "-created_at", "-id"], name="request_by_role"),
            GinIndex(fields=["approvers"], name="request_by_approver"),
            models.Index(
                fields=["lapses_at"],
                condition=Q(state=RequestState.PENDING.value),
                name="request_pending_due",
            ),
        ]

    def __str__(self) -> str:
        return f"request {self.id}"

    @property
    def planned_end(self) -> dt.datetime | None:
        """When the window ends that was asked for with a start of its own: nothing is given for
        the request after that. None where the clock starts when the privilege works.
        """
        if self.starts_at is None or self.extends_id is not None:
            return None
        return self.starts_at + dt.timedelta(seconds=self.duration_seconds)

    def is_over(self, now: dt.datetime) -> bool:
        """Return whether the planned window ended before `now`."""
        return self.planned_end is not None and self.planned_end <= now

    def audit_links(self) -> dict[str, Any]:
        return {
            "request_id": self.id,
            "grant_id": self.extends_id,
            "role": self.role.slug,
            "target": self.role.target.slug,
            "person": self.requester.username,
        }


class Grant(LoadedQuickly):
    """The time-boxed privilege, `[starts_at, ends_at)`.

    `scheduled_for` is the window's opening as planned; `starts_at` is when the privilege was
    seen to work. `ends_at` is written before the target is touched and is what the target
    holds. `revoke_at` ends it earlier for `end_reason`. The lease keeps two workers apart,
    `generation` tells their calls apart on the target, and `next_try_at` spaces retries.
    `credential` is sealed, and wiped as it is shown and when the grant ends. `told_of_end` is
    the end that its holder was reminded of.
    """

    id = Uuid7Field()
    request = models.OneToOneField(ElevationRequest, on_delete=models.PROTECT, related_name="grant")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="grants"
    )
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="grants")
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="grants")
    external_name = models.CharField(max_length=63, unique=True)
    state = models.CharField(max_length=10, default=GrantState.SCHEDULED.value)
    duration_seconds = models.PositiveIntegerField()
    scheduled_for = models.DateTimeField()
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    revoke_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=20, blank=True)
    end_comment = models.CharField(max_length=1000, blank=True)
    provisioned_at = models.DateTimeField(null=True, blank=True)
    revoking_since = models.DateTimeField(null=True, blank=True)
    revocation_verified_at = models.DateTimeField(null=True, blank=True)
    evidence = models.JSONField(default=dict, blank=True)
    waiting_for = models.CharField(max_length=300, blank=True)
    credential = models.BinaryField(null=True, blank=True)
    credential_shown_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    next_try_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0)
    generation = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=1000, blank=True)
    rang_at = models.DateTimeField(null=True, blank=True)
    lost_at = models.DateTimeField(null=True, blank=True)
    told_of_end = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in GrantState]),
                name="grant_state_known",
            ),
            models.CheckConstraint(
                condition=Q(end_reason__in=["", *(reason.value for reason in EndReason)]),
                name="grant_end_reason_known",
            ),
            models.CheckConstraint(
                condition=~Q(state=GrantState.ACTIVE.value)
                | Q(starts_at__isnull=False, ends_at__isnull=False),
                name="active_grant_has_an_end",
            ),
            models.CheckConstraint(
                condition=~Q(state=GrantState.ENDED.value)
                | Q(revocation_verified_at__isnull=False, credential__isnull=True),
                name="ended_means_seen_gone",
            ),
            models.UniqueConstraint(
                fields=["user", "role"],
                condition=Q(state__in=[state.value for state in LIVE]),
                name="one_live_grant_per_role",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="grant_newest"),
            models.Index(fields=["user", "-created_at", "-id"], name="grant_by_user"),
            models.Index(
                fields=["ends_at"],
                condition=Q(state=GrantState.ACTIVE.value),
                name="grant_active_due",
            ),
            models.Index(
                fields=["revoke_at"],
                condition=Q(state=GrantState.ACTIVE.value, revoke_at__isnull=False),
                name="grant_early_due",
            ),
            models.Index(
                fields=["next_try_at"],
                condition=Q(state__in=["SCHEDULED", "ACTIVATING", "REVOKING"]),
                name="grant_work_due",
            ),
        ]

    def __str__(self) -> str:
        return f"grant {self.id}"

    def audit_links(self) -> dict[str, Any]:
        return {
            "request_id": self.request_id,
            "grant_id": self.id,
            "role": self.role.slug,
            "target": self.target.slug,
            "person": self.user.username,
        }


class GrantAttempt(models.Model):
    """One call to the target for a grant, and how it went."""

    id = models.BigAutoField(primary_key=True)
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="attempts")
    step = models.CharField(max_length=20)
    at = models.DateTimeField()
    milliseconds = models.PositiveIntegerField()
    ok = models.BooleanField()
    error = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.step} of {self.grant_id}"


class Orphan(models.Model):
    """Privilege seen on a target that the books don't know; open until `resolved_at`."""

    id = models.BigAutoField(primary_key=True)
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="orphans")
    external_name = models.CharField(max_length=200)
    seen = models.JSONField(default=dict)
    found_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=20, blank=True)

    class Meta:
        ordering = ["-found_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["target", "external_name"],
                condition=Q(resolved_at__isnull=True),
                name="one_open_orphan_per_name",
            )
        ]

    def __str__(self) -> str:
        return f"orphan {self.external_name}"


class AfterReview(models.Model):
    """The review a break-glass (or a ruling with `review_after`) owes by `due_at`."""

    id = Uuid7Field()
    request = models.OneToOneField(
        ElevationRequest, on_delete=models.PROTECT, related_name="after_review"
    )
    state = models.CharField(max_length=10, default=ReviewState.OPEN.value)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    escalated_at = models.DateTimeField(null=True, blank=True)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="after_reviews",
    )
    comment = models.CharField(max_length=4000, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["due_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ReviewState]),
                name="review_state_known",
            )
        ]

    def __str__(self) -> str:
        return f"after-review of {self.request_id}"

    def audit_links(self) -> dict[str, Any]:
        return self.request.audit_links()


class Heartbeat(models.Model):
    """When a work of the clock was last done whole, by the database's clock."""

    work = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.work} at {self.at}"
