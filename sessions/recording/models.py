"""What the books say of each recording, its text by lines, and the commands in it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from jit.kernel.fields import Uuid7Field


class Standing(models.TextChoices):
    """How a recording is: what its page says in a word, red for the last three."""

    RECORDING = "recording", "being recorded"
    WHOLE = "whole", "whole"
    INCOMPLETE = "incomplete", "incomplete: something was not recorded or got lost"
    BROKEN = "broken", "broken: it is not what was recorded"
    MISSING = "missing", "missing: nothing of it reached the store"


class Recording(models.Model):
    """One session's recording.

    `pieces`, `size` and `digest` (SHA-256 of the last piece, in hex) are its head: at most 2 s
    old while it is made, final with `final`. `preamble` is the stored form's, so that one lost
    with the first object costs no more than that. `problems` are those found when it was last
    read, `standing` the word for them. `indexed_pieces` says how far its text is searchable, and
    `text_state` is what the indexing goes on with.
    """

    session = models.OneToOneField(
        "jit_sessions.AccessSession",
        primary_key=True,
        on_delete=models.PROTECT,
        related_name="recording",
    )
    began_at = models.DateTimeField()
    preamble = models.BinaryField()
    pieces = models.PositiveIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64)
    lines = models.PositiveBigIntegerField(default=0)
    last_us = models.PositiveBigIntegerField(default=0)
    final = models.BooleanField(default=False)
    failed = models.CharField(max_length=300, blank=True, default="")
    head_at = models.DateTimeField()

    standing = models.CharField(
        max_length=12, choices=Standing.choices, default=Standing.RECORDING.value
    )
    problems = models.JSONField(default=list, blank=True)
    stored_at = models.DateTimeField(null=True, blank=True)
    set_aside = models.CharField(max_length=300, blank=True, default="")
    verified_at = models.DateTimeField(null=True, blank=True)
    keep_until = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    indexed_pieces = models.PositiveIntegerField(default=0)
    indexed_at = models.DateTimeField(null=True, blank=True)
    text_lines = models.PositiveIntegerField(default=0)
    text_commands = models.PositiveIntegerField(default=0)
    text_state = models.JSONField(default=dict, blank=True)
    text_done = models.BooleanField(default=False)
    text_truncated = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(standing__in=Standing.values), name="recording_standing_known"
            ),
        ]
        indexes = [
            models.Index(
                fields=["verified_at"],
                condition=Q(stored_at__isnull=False, deleted_at__isnull=True),
                name="recording_to_verify",
            ),
            models.Index(
                fields=["keep_until"],
                condition=Q(deleted_at__isnull=True, keep_until__isnull=False),
                name="recording_to_delete",
            ),
            models.Index(
                fields=["deleted_at"],
                condition=Q(deleted_at__isnull=False, erased_at__isnull=True),
                name="recording_to_erase",
            ),
            models.Index(
                fields=["indexed_at"], condition=Q(text_done=False), name="recording_to_index"
            ),
        ]

    def __str__(self) -> str:
        return f"recording of {self.session_id}"


class LegalHold(models.Model):
    """Somebody's word that a recording must not be deleted, until two people lift it: one asks
    for that (`release_asked_by`), another agrees (`lifted_by`).
    """

    id = Uuid7Field()
    recording = models.ForeignKey(Recording, on_delete=models.PROTECT, related_name="holds")
    why = models.CharField(max_length=1000)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField()
    release_asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    release_asked_why = models.CharField(max_length=1000, blank=True)
    release_asked_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    lifted_why = models.CharField(max_length=1000, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["recording"],
                condition=Q(lifted_at__isnull=True),
                name="one_legal_hold_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"hold on {self.recording_id}"


class TranscriptLine(models.Model):
    """One line of what a session showed, without its control sequences; `at_ms` since its
    beginning. Rebuilt from the recording at will.
    """

    session = models.ForeignKey(
        "jit_sessions.AccessSession", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    number = models.PositiveIntegerField()
    at_ms = models.PositiveBigIntegerField()
    text = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session", "number"], name="transcript_line_once")
        ]
        indexes = [
            GinIndex(fields=["text"], name="transcript_line_text", opclasses=["gin_trgm_ops"]),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class Tier(models.TextChoices):
    """How sure a command is."""

    EXACT = "exact", "exact: part of the protocol"
    EXECUTED = "executed", "executed: the target's kernel or server told"
    TYPED = "typed", "typed: told by the shell, which the user can silence"
    GUESSED = "guessed", "guessed from what was shown"


class Command(models.Model):
    """Something a session did: a command, an SQL statement, a file brought or fetched."""

    session = models.ForeignKey(
        "jit_sessions.AccessSession", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    number = models.PositiveIntegerField()
    at_ms = models.PositiveBigIntegerField()
    tier = models.CharField(max_length=10, choices=Tier.choices)
    kind = models.CharField(max_length=20)
    text = models.TextField()
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session", "number"], name="session_command_once"),
            models.CheckConstraint(
                condition=Q(tier__in=Tier.values), name="session_command_tier_known"
            ),
        ]
        indexes = [
            GinIndex(fields=["text"], name="session_command_text", opclasses=["gin_trgm_ops"])
        ]

    def __str__(self) -> str:
        return self.text[:80]
