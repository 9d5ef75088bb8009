"""The closed lists of what a person may do, and of what a token may be used for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol


class Scope(StrEnum):
    """What an API token may be used for; it never gives its owner more than they have."""

    READ = "read"
    REQUEST = "request"
    DECIDE = "decide"
    AUDIT = "audit"
    OPERATE = "operate"


class Permission(StrEnum):
    REQUEST_CREATE = "request:create"
    REQUEST_DECIDE = "request:decide"
    REQUEST_READ_ALL = "request:read-all"
    GRANT_READ_ALL = "grant:read-all"
    GRANT_REVOKE = "grant:revoke"
    REVIEW_READ_ALL = "review:read-all"
    REVIEW_CLOSE = "review:close"
    SESSION_READ_ALL = "session:read-all"
    AUDIT_READ = "audit:read"
    AUDIT_EXPORT = "audit:export"
    CATALOG_READ_ALL = "catalog:read-all"
    CATALOG_SYNC = "catalog:sync"
    POLICY_READ = "policy:read"
    POLICY_PROPOSE = "policy:propose"
    POLICY_ACTIVATE = "policy:activate"
    TICKET_MANAGE = "ticket:manage"
    USER_MANAGE = "user:manage"
    WEBHOOK_MANAGE = "webhook:manage"
    OPERATIONS_READ = "operations:read"


EVERYBODY = frozenset({Permission.REQUEST_CREATE, Permission.REQUEST_DECIDE})
"""What each active person may try. Whether they are eligible for this role, or an approver of
that step, is judged by policy and by the chain; never by a permission.
"""

SCOPE_OF: Mapping[Permission, Scope] = MappingProxyType(
    {
        Permission.REQUEST_CREATE: Scope.REQUEST,
        Permission.REQUEST_DECIDE: Scope.DECIDE,
        Permission.REQUEST_READ_ALL: Scope.READ,
        Permission.GRANT_READ_ALL: Scope.READ,
        Permission.GRANT_REVOKE: Scope.OPERATE,
        Permission.REVIEW_READ_ALL: Scope.READ,
        Permission.REVIEW_CLOSE: Scope.DECIDE,
        Permission.SESSION_READ_ALL: Scope.AUDIT,
        Permission.AUDIT_READ: Scope.AUDIT,
        Permission.AUDIT_EXPORT: Scope.AUDIT,
        Permission.CATALOG_READ_ALL: Scope.READ,
        Permission.CATALOG_SYNC: Scope.OPERATE,
        Permission.POLICY_READ: Scope.READ,
        Permission.POLICY_PROPOSE: Scope.OPERATE,
        Permission.POLICY_ACTIVATE: Scope.OPERATE,
        Permission.TICKET_MANAGE: Scope.OPERATE,
        Permission.USER_MANAGE: Scope.OPERATE,
        Permission.WEBHOOK_MANAGE: Scope.OPERATE,
        Permission.OPERATIONS_READ: Scope.READ,
    }
)
"""The scope that a token must carry before a permission of its owner counts."""


class Holder(Protocol):
    """Whoever may hold permissions; `jit.identity.models.User` does."""

    @property
    def permissions(self) -> frozenset[Permission]: ...


def has(user: object, permission: Permission) -> bool:
    """Return whether `user` has `permission` now, narrowed by the token they came with.

    Anonymous, half-signed-in and disabled people have none.
    """
    return permission in getattr(user, "permissions", frozenset())
