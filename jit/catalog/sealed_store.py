"""The sealed store: secrets of targets at rest in the database, referred to as `db:<name>`.

A secret goes in by a command and comes out only where a connector or a gateway uses it.
"""

from __future__ import annotations

import datetime as dt

from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from pydantic import SecretStr

from jit.audit import operations as audit
from jit.audit.operations import Subject
from jit.catalog.models import SealedSecret, Target
from jit.connectors import registry
from jit.connectors.base import InvalidConfig
from jit.connectors.secret_refs import LONGEST, SEALED_NAME, SecretUnavailable
from jit.kernel import crypto
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, InvalidInput, NotFound


class UnfitSecret(InvalidInput):
    """The name, or the secret itself, can't be taken; the message never repeats the secret."""


class SecretExists(Conflict):
    """A secret of this name is there, and what stands on it would break without notice."""


class SecretInUse(Conflict):
    """Targets refer to the secret, so it stays."""


class UnknownSecret(NotFound):
    """There is no secret of this name."""


def secrets() -> QuerySet[SealedSecret]:
    """Return what is in the store: names, and who set them when."""
    return SealedSecret.objects.defer("sealed")


def opened(name: str) -> SecretStr:
    """Return the secret of this name. Raises SecretUnavailable, which says what to do."""
    try:
        row = SealedSecret.objects.filter(name=name).first()
    except DatabaseError as away:
        raise SecretUnavailable(
            f"the sealed store can't be asked now: {type(away).__name__}"
        ) from None
    if row is None:
        raise SecretUnavailable(
            f"the sealed store has no secret {name}: set it with `manage.py secret_set {name}`"
        )
    try:
        plain = crypto.unseal(bytes(row.sealed), bound_to=row.address)
    except crypto.SealBroken as broken:
        raise SecretUnavailable(
            f"the secret {name} in the sealed store does not open ({broken}): is JIT_SEALING_KEY "
            f"the one it was set under? Otherwise set it again, with --replace"
        ) from None
    return SecretStr(plain.decode())


@transaction.atomic
def put(
    *,
    name: str,
    secret: SecretStr,
    actor: Actor,
    now: dt.datetime,
    replace: bool = False,
    public_key: str = "",
) -> None:
    """Seal a secret under a name; `public_key` is for the record, where there is one.

    Raises UnfitSecret, and SecretExists unless it is to `replace` the one there (or there is
    none to replace: then UnknownSecret).
    """
    value = secret.get_secret_value()
    if not SEALED_NAME.fullmatch(name):
        raise UnfitSecret(
            "A secret's name has small letters, digits, dots and hyphens, 100 at most."
        )
    if not value or len(value) > LONGEST or "\0" in value:
        raise UnfitSecret(f"A secret has 1 to {LONGEST} characters and no NUL.")
    row = SealedSecret.objects.select_for_update().filter(name=name).first()
    if row and not replace:
        raise SecretExists(
            f"There is a secret {name} already, and it stays as it is. Say --replace to put "
            "another in its place (of an authority's key: rotate to a new name instead)."
        )
    if row is None and replace:
        raise UnknownSecret(f"There is no secret {name} to replace. Leave --replace out.")
    row = row or SealedSecret(name=name)
    row.sealed = crypto.seal(value.encode(), bound_to=row.address)
    row.set_at, row.set_by = now, actor.name[:200]
    row.save()
    _tell("secret.replaced" if replace else "secret.stored", row, actor, now, public_key)


@transaction.atomic
def remove(*, name: str, actor: Actor, now: dt.datetime) -> None:
    """Forget a secret. Raises UnknownSecret and SecretInUse."""
    row = SealedSecret.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise UnknownSecret(f"There is no secret {name}; `manage.py secret_list` shows them.")
    if used := users_of(name):
        raise SecretInUse(
            f"{', '.join(used)} would stop working: change or retire what refers to {name} first."
        )
    _tell("secret.removed", row, actor, now, "")
    row.delete()


def users_of(name: str) -> list[str]:
    """Return the slugs of the enabled targets that refer to this secret."""
    return [
        target.slug for target in Target.objects.filter(enabled=True) if name in _referred(target)
    ]


def _referred(target: Target) -> list[str]:
    try:
        return registry.sealed_secrets(target.kind, target.config)
    except InvalidConfig:
        return []  # It works with no secret as it is.


def _tell(action: str, row: SealedSecret, actor: Actor, now: dt.datetime, public_key: str) -> None:
    audit.record(
        action=action,
        actor=actor,
        now=now,
        subject=Subject(type="secret", id=str(row.pk), label=row.name),
        body={
            "targets": users_of(row.name),
            **({"public_key": public_key} if public_key else {}),
        },
    )
