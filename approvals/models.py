"""Approval chains: ordered steps, and the decisions taken on them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q

from approvals.slack import models as slack  # noqa: F401 -- Django finds an app's tables here
from approvals.states import ChainState, StepState, Verdict
from jit.elevation.models import ElevationRequest
from jit.kernel.fields import Uuid7Field


class Chain(models.Model):
    id = Uuid7Field()
    request = models.OneToOneField(ElevationRequest, on_delete=models.PROTECT, related_name="chain")
    state = models.CharField(max_length=10, default=ChainState.OPEN.value)
    same_person_may_repeat = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ChainState]),
                name="chain_state_known",
            )
        ]

    def __str__(self) -> str:
        return f"chain of {self.request_id}"

    def audit_links(self) -> dict[str, Any]:
        return self.request.audit_links()


class Step(models.Model):
    """One rung. `any_of` lists approver expressions (`group:payments-leads`, `user:olga`,
    `role-owner`); `resolved` is the same with the relative ones replaced by `user:…` or
    `group:…`; `quorum` is how many persons must approve. `escalate_to` and `fallback` are resolved
    alike; `look_at` is when the clock looks at the open step again.
    """

    id = Uuid7Field()
    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="steps")
    position = models.PositiveSmallIntegerField()
    any_of = models.JSONField()
    resolved = models.JSONField(default=list)
    quorum = models.PositiveSmallIntegerField(default=1)
    lapse_after_seconds = models.PositiveIntegerField()
    state = models.CharField(max_length=10, default=StepState.WAITING.value)
    opened_at = models.DateTimeField(null=True, blank=True)
    lapses_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    escalate_to = models.JSONField(default=list, blank=True)
    escalate_after_seconds = models.PositiveIntegerField(null=True, blank=True)
    fallback = models.JSONField(default=list, blank=True)
    escalate_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    escalated_to = models.JSONField(default=list, blank=True)
    remind_at = models.DateTimeField(null=True, blank=True)
    nobody_left_at = models.DateTimeField(null=True, blank=True)
    look_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["chain", "position"]
        constraints = [
            models.UniqueConstraint(fields=["chain", "position"], name="step_position_unique"),
            models.UniqueConstraint(
                fields=["chain"],
                condition=Q(state=StepState.OPEN.value),
                name="one_open_step_per_chain",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in StepState]),
                name="step_state_known",
            ),
            models.CheckConstraint(condition=Q(quorum__gte=1), name="step_quorum_positive"),
        ]
        indexes = [
            GinIndex(fields=["resolved"], name="step_by_approver"),
            models.Index(
                fields=["look_at"], condition=Q(state=StepState.OPEN.value), name="step_to_look_at"
            ),
        ]

    def __str__(self) -> str:
        return f"step {self.position} of {self.chain_id}"

    def audit_links(self) -> dict[str, Any]:
        return self.chain.audit_links()


class Decision(models.Model):
    """One approver's word on one step. `person` is who stands behind the account;
    `on_behalf_of` is the delegator whose voice it is, where it isn't the approver's own.
    """

    id = Uuid7Field()
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="decisions")
    approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions"
    )
    person = models.UUIDField()
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    on_behalf_of_person = models.UUIDField(null=True, blank=True)
    verdict = models.CharField(max_length=10)
    channel = models.CharField(max_length=10)
    comment = models.CharField(max_length=4000, blank=True)
    duration_seconds = models.PositiveIntegerField(null=True, blank=True)
    second_factor = models.BooleanField(default=False)
    decided_at = models.DateTimeField()

    class Meta:
        ordering = ["decided_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["step", "person"], name="one_voice_per_person"),
            models.UniqueConstraint(
                fields=["step", "on_behalf_of_person"], name="one_voice_per_delegator"
            ),
            models.CheckConstraint(
                condition=Q(on_behalf_of__isnull=True, on_behalf_of_person__isnull=True)
                | Q(on_behalf_of__isnull=False, on_behalf_of_person__isnull=False),
                name="behalf_has_a_person",
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=[verdict.value for verdict in Verdict]),
                name="verdict_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.approver_id}"

    @property
    def who(self) -> str:
        """Return whose word it is as people see it: "ada", or "ada for bo"."""
        behalf = f" for {self.on_behalf_of.username}" if self.on_behalf_of else ""
        return f"{self.approver.username}{behalf}"


class Delegation(models.Model):
    """A stand-in that an approver names for `[starts_at, ends_at)`, for all they may answer or
    only for their `groups`. It counts once the delegate accepted it, and ends by itself.
    """

    id = Uuid7Field()
    delegator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_given"
    )
    delegate = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_had"
    )
    groups = models.JSONField(default=list, blank=True)
    reason = models.CharField(max_length=400)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    created_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    end_told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-starts_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(starts_at__lt=F("ends_at")), name="delegation_ends_after_it_starts"
            ),
            models.CheckConstraint(
                condition=~Q(delegator=F("delegate")), name="delegation_to_somebody_else"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.delegate.username} for {self.delegator.username}"
