"""Access sessions, the gateways they run through, and what opens one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from jit.catalog.models import Role, Target
from jit.elevation.models import Grant
from jit.kernel.fields import Uuid7Field
from sessions.recording import models as recording  # noqa: F401 -- Django finds an app's tables here
from sessions.states import OPEN, ClosedBecause, Door, Proof, SessionState


class GatewayProcess(models.Model):
    """One running gateway. `seen_at` is its heartbeat by the database's clock; `name` is its
    place (host and kind), which it shares with the processes that ran there before it.
    """

    id = Uuid7Field()
    kind = models.CharField(max_length=20)
    name = models.CharField(max_length=200)
    address = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [
            models.Index(
                fields=["seen_at"], condition=Q(ended_at__isnull=True), name="gateway_running"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} gateway at {self.name}"


class AccessSession(models.Model):
    """One recorded use of a grant through a gateway.

    `login` is who the person is on the target, `host` which machine of it; `client` names
    their program. `record` is what the policy demands of the recorder. `end_asked_*` is the
    wish to end it, which its gateway carries out; `exit_status` is the remote program's. `ended`
    counts what was open in it and closed with it: `forwards`, and `connections` to the target.
    """

    id = Uuid7Field()
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="access_sessions")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="access_sessions"
    )
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="access_sessions")
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="access_sessions")
    gateway = models.ForeignKey(
        GatewayProcess, on_delete=models.PROTECT, related_name="access_sessions"
    )
    kind = models.CharField(max_length=20)
    door = models.CharField(max_length=20)
    proof = models.CharField(max_length=20)
    login = models.CharField(max_length=100, blank=True)
    host = models.CharField(max_length=200, blank=True)
    client = models.CharField(max_length=200, blank=True)
    source_address = models.CharField(max_length=60, blank=True)
    record = models.CharField(max_length=20)
    state = models.CharField(max_length=10, default=SessionState.OPENING.value)
    closed_because = models.CharField(max_length=12, blank=True)
    closed_comment = models.CharField(max_length=1000, blank=True)
    exit_status = models.IntegerField(null=True, blank=True)
    ended = models.JSONField(default=dict, blank=True)
    end_asked_at = models.DateTimeField(null=True, blank=True)
    end_asked_because = models.CharField(max_length=12, blank=True)
    end_asked_by = models.CharField(max_length=150, blank=True)
    end_asked_comment = models.CharField(max_length=1000, blank=True)
    opened_at = models.DateTimeField()
    live_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    sealed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-opened_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in SessionState]),
                name="session_state_known",
            ),
            models.CheckConstraint(
                condition=Q(closed_because__in=["", *(why.value for why in ClosedBecause)]),
                name="session_closed_because_known",
            ),
            models.CheckConstraint(
                condition=Q(door__in=[door.value for door in Door])
                & Q(proof__in=[proof.value for proof in Proof]),
                name="session_door_and_proof_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in OPEN])
                | Q(closed_at__isnull=False) & ~Q(closed_because=""),
                name="closed_session_says_why",
            ),
        ]
        indexes = [
            models.Index(fields=["-opened_at", "-id"], name="session_newest"),
            models.Index(fields=["user", "-opened_at", "-id"], name="session_by_user"),
            models.Index(fields=["role", "-opened_at", "-id"], name="session_by_role"),
            models.Index(fields=["grant", "opened_at"], name="session_by_grant"),
            models.Index(
                fields=["gateway"],
                condition=Q(state__in=[state.value for state in OPEN]),
                name="session_open",
            ),
            models.Index(
                fields=["closed_at"],
                condition=Q(state=SessionState.CLOSED.value),
                name="session_to_seal",
            ),
        ]

    def __str__(self) -> str:
        return f"session {self.id}"

    def audit_links(self) -> dict[str, Any]:
        return {
            "request_id": self.grant.request_id,
            "grant_id": self.grant_id,
            "role": self.role.slug,
            "target": self.target.slug,
            "person": self.user.username,
        }


class OneUseToken(models.Model):
    """A password that opens one session of one grant, through one door. Only its digest is
    kept, and for doors that prove without sending it, what checks the proof (`verifier`:
    SCRAM's salt, iterations, stored and server key, RFC 5802). `source_address` and `client`
    are the browser's, where our own web terminal will come with it.
    """

    id = Uuid7Field()
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="one_use_tokens")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="one_use_tokens"
    )
    door = models.CharField(max_length=20)
    digest = models.CharField(max_length=64, unique=True)
    verifier = models.JSONField(default=dict, blank=True)
    source_address = models.CharField(max_length=60, blank=True, default="")
    client = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["grant", "door", "-created_at"], name="token_of_grant")]

    def __str__(self) -> str:
        return f"one-use token of {self.grant_id} for {self.door}"


class SshKey(models.Model):
    """A public key by which the SSH gateway recognises its owner; `fingerprint` as
    `SHA256:…` (OpenSSH's form) of the key blob, `public_key` in OpenSSH's one-line form.
    """

    id = Uuid7Field()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="ssh_keys"
    )
    name = models.CharField(max_length=100)
    fingerprint = models.CharField(max_length=60)
    public_key = models.TextField()
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"],
                condition=Q(removed_at__isnull=True),
                name="one_owner_per_ssh_key",
            )
        ]

    def __str__(self) -> str:
        return self.fingerprint


class SessionFlag(models.Model):
    """An auditor's word that somebody should look at a session; settled once somebody did."""

    id = Uuid7Field()
    session = models.ForeignKey(AccessSession, on_delete=models.PROTECT, related_name="flags")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    comment = models.CharField(max_length=1000)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    settled_comment = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["created_at", "id"]
        indexes = [
            models.Index(fields=["session"], condition=Q(settled_at__isnull=True), name="flag_open")
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(settled_at__isnull=True) | Q(settled_by__isnull=False),
                name="settled_flag_says_who",
            )
        ]

    def __str__(self) -> str:
        return f"flag on {self.session_id}"
