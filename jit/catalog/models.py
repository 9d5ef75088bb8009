"""Targets and the roles that can be had on them; written only by the catalogue's loader."""

from __future__ import annotations

from django.db import models

from jit.identity.models import Group
from jit.kernel.fields import Uuid7Field


class Risk(models.TextChoices):
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"


class Target(models.Model):
    """A system on which privilege can be had.

    `config` is what its connector's own schema accepts; secrets in it are references.
    `health` is the last answer of the connector: `{"ok", "detail", "skew_seconds", "checks"}`.
    """

    id = Uuid7Field()
    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=40)
    env = models.CharField(max_length=40, default="prod")
    team = models.CharField(max_length=100, blank=True)
    config = models.JSONField(default=dict)
    enabled = models.BooleanField(default=True)
    health = models.JSONField(default=dict, blank=True)
    health_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class Role(models.Model):
    """What a person becomes on a target. `config` is the connector's part of it
    (PostgreSQL: `{"member_of": "orders_rw"}`); durations are whole seconds.
    """

    id = Uuid7Field()
    slug = models.SlugField(max_length=100, unique=True)
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="roles")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    risk = models.CharField(max_length=10, choices=Risk.choices)
    owner_group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="owned_roles")
    max_duration_seconds = models.PositiveIntegerField()
    config = models.JSONField(default=dict)
    tags = models.JSONField(default=dict, blank=True)
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(max_duration_seconds__gte=10), name="role_max_duration_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(risk__in=Risk.values), name="role_risk_known"
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class SealedSecret(models.Model):
    """A secret that targets refer to as `db:<name>`. `sealed` opens for this row alone, under
    the installation's sealing key; nothing shows what is in it.
    """

    id = Uuid7Field()
    name = models.CharField(max_length=100, unique=True)
    sealed = models.BinaryField()
    set_at = models.DateTimeField()
    set_by = models.CharField(max_length=200)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def address(self) -> str:
        """What the sealed value is bound to."""
        return f"catalog.secret:{self.id}:{self.name}"
