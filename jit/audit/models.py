"""The tables of the log. SQL made them (partitions, triggers), so Django only reads their shape.

Nothing here is ever saved through the ORM: events enter by `operations.record`, leaves and
checkpoints by `sealing.seal`.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib.postgres.search import SearchVectorField
from django.db import models


class AuditEvent(models.Model):
    """An append-only fact. `body` is the truth (RFC 8785 canonical JSON) and `leaf` its RFC
    6962 leaf hash, computed by the database; the other columns repeat parts of it for search.
    """

    seq = models.BigAutoField(primary_key=True)
    id = models.UUIDField()
    at = models.DateTimeField()
    actor_kind = models.TextField()
    actor_id = models.TextField()
    actor_name = models.TextField()
    channel = models.TextField()
    action = models.TextField()
    subject_type = models.TextField()
    subject_id = models.TextField()
    request_id = models.UUIDField(null=True)
    grant_id = models.UUIDField(null=True)
    target = models.TextField()
    role = models.TextField()
    person = models.TextField()
    body = models.BinaryField()
    leaf = models.BinaryField()
    words = SearchVectorField()

    class Meta:
        managed = False
        db_table = "audit_event"

    def __str__(self) -> str:
        return f"{self.action} #{self.seq}"

    @property
    def content(self) -> dict[str, Any]:
        """The event as it was sealed: id, at, actor, channel, action, subject, links, body."""
        content: dict[str, Any] = json.loads(bytes(self.body))
        return content


class AuditErasable(models.Model):
    """Personal data beside the log. The event holds only its salted digest, so that erasing
    the value (and the salt) leaves every proof whole.
    """

    id = models.UUIDField(primary_key=True)
    event_id = models.UUIDField()
    person = models.TextField()
    field = models.TextField()
    salt = models.BinaryField(null=True)
    value = models.TextField(null=True)  # noqa: DJ001 -- NULL means erased, "" is a value
    erased_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "audit_erasable"

    def __str__(self) -> str:
        return f"{self.field} of event {self.event_id}"


class AuditLeaf(models.Model):
    """The place of an event in the sealed tree: `idx` counts from 0 without gaps."""

    idx = models.BigIntegerField(primary_key=True)
    seq = models.BigIntegerField(unique=True)
    leaf = models.BinaryField()

    class Meta:
        managed = False
        db_table = "audit_leaf"

    def __str__(self) -> str:
        return f"leaf {self.idx}"


class AuditNode(models.Model):
    """The hash of a complete subtree of 256^n leaves, so that a proof reads a few hundred
    hashes and not the whole log. `level` is its height (8, 16, …), `idx` its place there.
    """

    pk = models.CompositePrimaryKey("level", "idx")
    level = models.SmallIntegerField()
    idx = models.BigIntegerField()
    hash = models.BinaryField()

    class Meta:
        managed = False
        db_table = "audit_node"

    def __str__(self) -> str:
        return f"node {self.level}/{self.idx}"


class AuditCheckpoint(models.Model):
    """A signed statement of the tree's size and root. `frontier` holds the roots of its
    complete subtrees, largest first, from which the sealer and an export go on; `vkey` is the
    public key that verifies the note. Events up to `base_seq` come from a cluster before a
    restore, all sealed; after them the order is by transaction again.
    """

    id = models.BigAutoField(primary_key=True)
    size = models.BigIntegerField()
    root = models.BinaryField()
    frontier = models.BinaryField()
    last_seq = models.BigIntegerField()
    base_seq = models.BigIntegerField()
    at = models.DateTimeField()
    vkey = models.TextField()
    note = models.TextField()

    class Meta:
        managed = False
        db_table = "audit_checkpoint"

    def __str__(self) -> str:
        return f"checkpoint of {self.size}"
