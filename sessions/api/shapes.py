"""Access sessions and SSH keys as JSON, and as the OpenAPI document shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework import serializers

from jit.api import shapes
from jit.api.fields import PlainText
from jit.api.representations import time
from sessions.finding import Found
from sessions.models import AccessSession, SessionFlag, SshKey
from sessions.recording.models import LegalHold, Recording


class HitOut(shapes.Shape):
    """One line that was shown, or a command with its tier, `at_ms` after the beginning."""

    at_ms = serializers.IntegerField()
    kind = serializers.CharField()
    tier = serializers.CharField()
    text = serializers.CharField()


class SessionOut(shapes.Shape):
    """One recorded use of a grant; `end_asked_by` is who asked for its end, if anybody."""

    id = serializers.UUIDField()
    state = serializers.CharField()
    kind = serializers.CharField()
    user = serializers.CharField()
    role = serializers.CharField()
    target = serializers.CharField()
    host = serializers.CharField()
    login = serializers.CharField()
    grant = serializers.UUIDField()
    request = serializers.UUIDField()
    ticket = serializers.CharField()
    break_glass = serializers.BooleanField()
    door = serializers.CharField()
    proof = serializers.CharField()
    client = serializers.CharField()
    source_address = serializers.CharField()
    record = serializers.CharField()
    opened_at = serializers.DateTimeField()
    live_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    sealed_at = serializers.DateTimeField(allow_null=True)
    closed_because = serializers.CharField()
    closed_comment = serializers.CharField()
    exit_status = serializers.IntegerField(allow_null=True)
    end_asked_at = serializers.DateTimeField(allow_null=True)
    end_asked_by = serializers.CharField()
    hits = HitOut(many=True, required=False)


class RecordingOut(shapes.Shape):
    """How the recording is: recording, whole, incomplete, broken or missing, and what is wrong
    with it. `digest` is the SHA-256 of its last piece.
    """

    standing = serializers.CharField()
    problems = serializers.ListField(child=serializers.CharField())
    began_at = serializers.DateTimeField()
    seconds = serializers.FloatField()
    pieces = serializers.IntegerField()
    bytes = serializers.IntegerField()
    digest = serializers.CharField()
    stored_at = serializers.DateTimeField(allow_null=True)
    verified_at = serializers.DateTimeField(allow_null=True)
    keep_until = serializers.DateTimeField(allow_null=True)
    deleted_at = serializers.DateTimeField(allow_null=True)


class HoldOut(shapes.Shape):
    """A legal hold: while one is not lifted, the recording is kept beyond `keep_until`."""

    reason = serializers.CharField()
    set_by = serializers.CharField()
    set_at = serializers.DateTimeField()
    release_asked_by = serializers.CharField(
        allow_null=True, help_text="Who asked that it be lifted; another auditor's DELETE lifts it."
    )
    release_asked_at = serializers.DateTimeField(allow_null=True)
    release_asked_reason = serializers.CharField()
    lifted_by = serializers.CharField(allow_null=True)
    lifted_at = serializers.DateTimeField(allow_null=True)
    lifted_reason = serializers.CharField()


class FlagOut(shapes.Shape):
    user = serializers.CharField()
    comment = serializers.CharField()
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)
    settled_by = serializers.CharField(allow_null=True)
    settled_comment = serializers.CharField()


class SessionDetailOut(SessionOut):
    recording = RecordingOut(allow_null=True)
    flags = FlagOut(many=True)
    holds = HoldOut(many=True, help_text="For auditors; empty for everybody else.")


class TranscriptLineOut(shapes.Shape):
    number = serializers.IntegerField()
    at_ms = serializers.IntegerField()
    text = serializers.CharField()


class TranscriptOut(shapes.Shape):
    """`complete` says whether all that was shown is in it already, and all of it fits."""

    items = TranscriptLineOut(many=True)
    next = serializers.CharField(allow_null=True)
    complete = serializers.BooleanField()


def detail(
    row: AccessSession,
    recording: Recording | None,
    flags: Iterable[SessionFlag],
    holds: Iterable[LegalHold],
) -> dict[str, Any]:
    return {
        **session(row),
        "recording": _recording(recording) if recording else None,
        "flags": [
            {
                "user": flag.user.username,
                "comment": flag.comment,
                "created_at": time(flag.created_at),
                "settled_at": time(flag.settled_at),
                "settled_by": flag.settled_by.username if flag.settled_by else None,
                "settled_comment": flag.settled_comment,
            }
            for flag in flags
        ],
        "holds": [hold(each) for each in holds],
    }


def hold(row: LegalHold) -> dict[str, Any]:
    return {
        "reason": row.why,
        "set_by": row.set_by.username,
        "set_at": time(row.set_at),
        "release_asked_by": row.release_asked_by.username if row.release_asked_by else None,
        "release_asked_at": time(row.release_asked_at),
        "release_asked_reason": row.release_asked_why,
        "lifted_by": row.lifted_by.username if row.lifted_by else None,
        "lifted_at": time(row.lifted_at),
        "lifted_reason": row.lifted_why,
    }


def _recording(row: Recording) -> dict[str, Any]:
    return {
        "standing": row.standing,
        "problems": [problem["sentence"] for problem in row.problems],
        "began_at": time(row.began_at),
        "seconds": row.last_us / 1e6,
        "pieces": row.pieces,
        "bytes": row.size,
        "digest": row.digest,
        "stored_at": time(row.stored_at),
        "verified_at": time(row.verified_at),
        "keep_until": time(row.keep_until),
        "deleted_at": time(row.deleted_at),
    }


def session(row: AccessSession) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "state": row.state,
        "kind": row.kind,
        "user": row.user.username,
        "role": row.role.slug,
        "target": row.target.slug,
        "host": row.host,
        "login": row.login,
        "grant": str(row.grant_id),
        "request": str(row.grant.request_id),
        "ticket": row.grant.request.ticket_key,
        "break_glass": row.grant.request.break_glass,
        "door": row.door,
        "proof": row.proof,
        "client": row.client,
        "source_address": row.source_address,
        "record": row.record,
        "opened_at": time(row.opened_at),
        "live_at": time(row.live_at),
        "closed_at": time(row.closed_at),
        "sealed_at": time(row.sealed_at),
        "closed_because": row.closed_because,
        "closed_comment": row.closed_comment,
        "exit_status": row.exit_status,
        "end_asked_at": time(row.end_asked_at),
        "end_asked_by": row.end_asked_by,
    }


def found(one: Found) -> dict[str, Any]:
    hits = [
        {"at_ms": hit.at_ms, "kind": hit.kind, "tier": hit.tier, "text": hit.text}
        for hit in one.hits
    ]
    return {**session(one.session), "hits": hits}


class SshKeyIn(shapes.Shape):
    name = PlainText(max_length=100)
    public_key = PlainText(max_length=10_000)


class CertificateIn(shapes.Shape):
    """For SSH a line as in `id_ed25519.pub`; for PostgreSQL a public key or a certificate request
    in PEM, or the key's DER in base64.
    """

    public_key = PlainText(max_length=10_000)


class CertificateOut(shapes.Shape):
    """`certificate` is the line for `id_ed25519-cert.pub`, or the PEM for `sslcert`; `user` whom
    to log in as.
    """

    certificate = serializers.CharField()
    user = serializers.CharField()


class SshKeyOut(shapes.Shape):
    id = serializers.UUIDField()
    name = serializers.CharField()
    fingerprint = serializers.CharField()
    public_key = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


def ssh_key(row: SshKey) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "name": row.name,
        "fingerprint": row.fingerprint,
        "public_key": row.public_key,
        "created_at": time(row.created_at),
        "last_used_at": time(row.last_used_at),
    }
