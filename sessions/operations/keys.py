"""People's SSH keys: registered, used, removed."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.db import IntegrityError, transaction

from jit.audit import operations as audit
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, InvalidInput, NotAllowed, NotFound
from sessions.fingerprints import fingerprint_of
from sessions.models import SshKey

SMALLEST_RSA = 3072
LONGEST_KEY = 8000
USE_NOTED_EVERY = dt.timedelta(minutes=1)
ADDING = "ssh-key:add"
"""The act for which a fresh second factor is given: a key opens what its owner holds."""


class UnusableKey(InvalidInput):
    """The text is no public key that the gateway takes."""


class KeyTaken(Conflict):
    """A key stands for one person: this one is registered already."""


class KeyRemoved(NotAllowed):
    """The key opens nothing any more."""


class UnknownKey(NotFound):
    """No such key of this person."""


def add_key(*, user: User, name: str, public_key: str, actor: Actor, now: dt.datetime) -> SshKey:
    """Register a public key in OpenSSH's one-line form for `user`.

    Raises UnusableKey (Ed25519, ECDSA and RSA from 3072 bits are taken), KeyTaken, and
    InvalidInput for a name that is empty or over 100 characters.
    """
    name = name.strip()
    if not 0 < len(name) <= 100 or "\0" in name:  # noqa: PLR2004 -- the column's width
        raise InvalidInput(
            "Give the key a name of 1 to 100 characters, such as the machine it is on.",
            fields={"name": ["1 to 100 characters."]},
        )
    line = canonical(public_key)
    key = SshKey(
        user=user,
        name=name,
        fingerprint=fingerprint_of(line),
        public_key=line,
        created_at=now,
    )
    try:
        with transaction.atomic():
            key.save(force_insert=True)
            audit.record(
                action="ssh-key.added",
                actor=actor,
                now=now,
                subject=_subject(key),
                body={"name": name, "owner": user.username},
            )
    except IntegrityError:
        raise KeyTaken(
            "This key is registered already. A key stands for one person: make another with "
            "ssh-keygen -t ed25519."
        ) from None
    return key


def remove_key(*, user: User, key_id: UUID, actor: Actor, now: dt.datetime) -> None:
    """Let a key open nothing more; removing it again changes nothing. Raises UnknownKey."""
    key = SshKey.objects.filter(user=user, pk=key_id).first()
    if key is None:
        raise UnknownKey("You have no such key.")
    with transaction.atomic():
        hit = SshKey.objects.filter(pk=key.pk, removed_at__isnull=True).update(removed_at=now)
        if hit:
            audit.record(
                action="ssh-key.removed",
                actor=actor,
                now=now,
                subject=_subject(key),
                body={"name": key.name, "owner": user.username},
            )


def use(*, key: SshKey) -> None:
    """Write down that the key opens something, at most once in USE_NOTED_EVERY. Raises
    KeyRemoved where it was taken off the account since it opened the connection.
    """
    now = db.now()
    kept = SshKey.objects.filter(pk=key.pk, removed_at__isnull=True)
    if key.last_used_at is None or now - key.last_used_at >= USE_NOTED_EVERY:
        known = kept.update(last_used_at=now) > 0
        key.last_used_at = now
    else:
        known = kept.exists()
    if not known:
        raise KeyRemoved("This key was removed from its account. Come in with another one.")


def canonical(text: str) -> str:
    """Return the key as type and blob, without its comment. Raises UnusableKey."""
    refused = UnusableKey(
        "Paste one public key as ~/.ssh/id_ed25519.pub holds it: Ed25519, ECDSA, or RSA of at "
        f"least {SMALLEST_RSA} bits. Never paste a private key.",
        fields={"public_key": ["One line: ssh-ed25519 AAAA…"]},
    )
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if len(lines) != 1 or len(text) > LONGEST_KEY or "PRIVATE" in text:
        raise refused
    try:
        key = serialization.load_ssh_public_key(lines[0].strip().encode())
    except (ValueError, UnsupportedAlgorithm, UnicodeEncodeError):
        raise refused from None
    strong = isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA
    )
    if not strong:
        raise refused
    return key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()


def _subject(key: SshKey) -> audit.Subject:
    return audit.Subject(type="ssh-key", id=str(key.pk), label=key.fingerprint)
