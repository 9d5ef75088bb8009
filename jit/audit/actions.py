"""The closed list of what can be written into the audit log."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """One kind of audit event, as `<subject>.<what happened>`; append new ones to their group."""

    # The elevation request
    REQUEST_CREATED = "request.created"
    REQUEST_APPROVED = "request.approved"
    REQUEST_DENIED = "request.denied"
    REQUEST_WITHDRAWN = "request.withdrawn"
    REQUEST_LAPSED = "request.lapsed"
    # The grant
    GRANT_CREATED = "grant.created"
    GRANT_ACTIVATING = "grant.activating"
    GRANT_ACTIVATED = "grant.activated"
    GRANT_EXTENDED = "grant.extended"
    GRANT_REVOKING = "grant.revoking"
    GRANT_ENDED = "grant.ended"
    GRANT_WITHDRAWN = "grant.withdrawn"
    GRANT_CREDENTIAL_SHOWN = "grant.credential-shown"
    GRANT_CREDENTIAL_REFUSED = "grant.credential-refused"
    GRANT_ATTEMPT_FAILED = "grant.attempt-failed"
    GRANT_REVOCATION_STUCK = "grant.revocation-stuck"
    GRANT_LOST = "grant.lost"
    GRANT_ENDS_EARLY = "grant.ends-early"
    GRANT_EXTENSION_DROPPED = "grant.extension-dropped"
    # Chains, steps and decisions
    CHAIN_CREATED = "chain.created"
    CHAIN_APPROVED = "chain.approved"
    CHAIN_DENIED = "chain.denied"
    CHAIN_CANCELLED = "chain.cancelled"
    STEP_CREATED = "step.created"
    STEP_OPENED = "step.opened"
    STEP_APPROVED = "step.approved"
    STEP_DENIED = "step.denied"
    STEP_SKIPPED = "step.skipped"
    STEP_ESCALATED = "step.escalated"
    STEP_REMINDED = "step.reminded"
    STEP_ASKED_ALSO = "step.asked-also"
    CHAIN_NOBODY_LEFT = "chain.nobody-left"
    DELEGATION_CREATED = "delegation.created"
    DELEGATION_ACCEPTED = "delegation.accepted"
    DELEGATION_REVOKED = "delegation.revoked"
    DECISION_MADE = "decision.made"
    DECISION_REFUSED = "decision.refused"
    # Access sessions, and what opens them
    SESSION_CREATED = "session.created"
    SESSION_OPENED = "session.opened"
    SESSION_CLOSED = "session.closed"
    SESSION_SEALED = "session.sealed"
    SESSION_REFUSED = "session.refused"
    SESSION_TERMINATED = "session.terminated"
    SESSION_TOKEN_USED = "session.token-used"  # noqa: S105 -- a name, no password
    SESSION_VIEWED = "session.viewed"
    SESSION_DOWNLOADED = "session.downloaded"
    SESSION_SEARCHED = "session.searched"
    SESSION_FLAGGED = "session.flagged"
    SESSION_FLAG_SETTLED = "session.flag-settled"
    SESSION_CERTIFICATE_SIGNED = "session.certificate-signed"
    SSH_KEY_ADDED = "ssh-key.added"
    SSH_KEY_REMOVED = "ssh-key.removed"
    # Recordings of access sessions
    RECORDING_BROKEN = "recording.broken"
    RECORDING_MISSING = "recording.missing"
    RECORDING_SET_ASIDE = "recording.set-aside"
    RECORDING_FOREIGN = "recording.foreign"
    RECORDING_HELD = "recording.held"
    RECORDING_RELEASE_ASKED = "recording.release-asked"
    RECORDING_RELEASED = "recording.released"
    RECORDING_DELETED = "recording.deleted"
    # Break-glass and its review
    BREAK_GLASS_USED = "break-glass.used"
    REVIEW_CREATED = "review.created"
    REVIEW_CONFIRMED = "review.confirmed"
    REVIEW_FLAGGED = "review.flagged"
    REVIEW_ESCALATED = "review.escalated"
    # Privilege that the books don't know
    ORPHAN_FOUND = "orphan.found"
    ORPHAN_SUSPENDED = "orphan.suspended"
    ORPHAN_REMOVED = "orphan.removed"
    ORPHAN_VANISHED = "orphan.vanished"
    # Tickets
    TICKET_OPENED = "ticket.opened"
    TICKET_EDITED = "ticket.edited"
    TICKET_FILED = "ticket.filed"
    TICKET_CLOSED = "ticket.closed"
    TICKET_COMMENTED = "ticket.commented"
    # People and how they sign in
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_SIGNED_IN = "user.signed-in"
    USER_SIGN_IN_FAILED = "user.sign-in-failed"
    USER_SIGNED_OUT = "user.signed-out"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_SESSIONS_ENDED = "user.sessions-ended"
    USER_PASSWORD_CHANGED = "user.password-changed"  # noqa: S105 -- a name, no password
    SECOND_FACTOR_ENROLLED = "second-factor.enrolled"
    SECOND_FACTOR_REMOVED = "second-factor.removed"
    SECOND_FACTOR_FAILED = "second-factor.failed"
    SECOND_FACTOR_PASSED = "second-factor.passed"
    RECOVERY_CODES_ISSUED = "second-factor.recovery-codes-issued"
    TOKEN_CREATED = "token.created"  # noqa: S105 -- a name, no password
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 -- a name, no password
    GROUP_CREATED = "group.created"
    GROUP_MEMBER_ADDED = "group.member-added"
    GROUP_MEMBER_REMOVED = "group.member-removed"
    GROUP_PERMISSION_ADDED = "group.permission-added"
    GROUP_PERMISSION_REMOVED = "group.permission-removed"
    # Slack: who is who there, and what was refused at its door
    SLACK_INSTALLED = "slack.installed"
    SLACK_LINKED = "slack.linked"
    SLACK_UNLINKED = "slack.unlinked"
    SLACK_REFUSED = "slack.refused"
    # Targets and roles
    CATALOG_SYNCED = "catalog.synced"
    CATALOG_TARGET_CREATED = "catalog.target-created"
    CATALOG_TARGET_CHANGED = "catalog.target-changed"
    CATALOG_TARGET_RETIRED = "catalog.target-retired"
    CATALOG_ROLE_CREATED = "catalog.role-created"
    CATALOG_ROLE_CHANGED = "catalog.role-changed"
    CATALOG_ROLE_RETIRED = "catalog.role-retired"
    TARGET_HEALTH_CHANGED = "target.health-changed"
    # Secrets that targets refer to
    SECRET_STORED = "secret.stored"  # noqa: S105 -- a name, no password
    SECRET_REPLACED = "secret.replaced"  # noqa: S105 -- a name, no password
    SECRET_REMOVED = "secret.removed"  # noqa: S105 -- a name, no password
    # Policy
    POLICY_PROPOSED = "policy.proposed"
    POLICY_ACTIVATED = "policy.activated"
    POLICY_REFUSED = "policy.refused"
    POLICY_ERROR = "policy.error"
    POLICY_DRIFT = "policy.drift"
    POLICY_SHADOW_DIFFERS = "policy.shadow-differs"
    # Webhooks to other programs
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_SECRET_ROTATED = "webhook.secret-rotated"  # noqa: S105 -- a name, no password
    WEBHOOK_DISABLED = "webhook.disabled"
    WEBHOOK_REMOVED = "webhook.removed"
    # The log itself
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_ERASED = "audit.erased"


ACTIONS = frozenset(action.value for action in Action)
