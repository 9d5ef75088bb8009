"""Bundles of policy files, and which of them was in force when."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class PolicyBundle(models.Model):
    """Files that were proposed, whole. `digest` is the SHA-256 of their canonical form and
    never changes, nor do they. `proposed_by` is empty for what the installation began with.
    """

    digest = models.CharField(max_length=64, unique=True)
    files = models.JSONField()
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="proposed_bundles",
    )
    proposed_at = models.DateTimeField()
    comment = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["-proposed_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(digest__regex=r"^[0-9a-f]{64}$"), name="bundle_digest_is_sha256"
            )
        ]

    def __str__(self) -> str:
        return self.digest[:12]


class PolicyActivation(models.Model):
    """One act of putting a bundle in force; the latest is the one in force.

    `drifted_to` is the digest of differing files on disk that were last reported, so that one
    drift rings once.
    """

    bundle = models.ForeignKey(PolicyBundle, on_delete=models.PROTECT, related_name="activations")
    activated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="policy_activations",
    )
    activated_at = models.DateTimeField()
    comment = models.CharField(max_length=1000, blank=True)
    drifted_to = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"activation of {self.bundle}"
