"""The one way from a grant to its connector, outside any transaction, with every call on record."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import connection

from jit.catalog.models import Target
from jit.connectors import evidence, registry
from jit.connectors.base import (
    Connector,
    ConnectorError,
    Evidence,
    GrantSpec,
    Health,
    InvalidConfig,
    Issued,
    Refused,
    Revoked,
    Seen,
)
from jit.elevation.models import Grant, GrantAttempt
from jit.kernel import crypto


def connector_of(target: Target) -> Connector:
    """Return this process's connector for the target's present configuration.

    Raises Refused when the kind is unknown or the configuration can't be worked with: to a
    grant that is the same as a target that says no.
    """
    try:
        return registry.connector_for(target.kind, target.config)
    except InvalidConfig as invalid:
        raise Refused(f"{target.slug}: {invalid.detail}") from invalid


def spec_of(grant: Grant, *, ends_at: dt.datetime | None = None) -> GrantSpec:
    """Return what the connector is told of a grant; `ends_at` where it differs from the row's."""
    deadline = ends_at or grant.ends_at
    if deadline is None:
        raise ValueError(
            f"{grant} has no end yet: the deadline is committed before the target is touched"
        )
    return GrantSpec(
        grant_id=grant.id.hex,
        external_name=grant.external_name,
        principal=grant.user.username,
        role_config=grant.role.config,
        ends_at=deadline,
        generation=grant.generation,
        earlier=evidence.settled(grant.evidence),
    )


def _journaled[Answer](
    grant: Grant, step: str, now: dt.datetime, call: Callable[[], Answer]
) -> Answer:
    """Make the call and write down how it went; a refusal of the target passes on."""
    started = time.monotonic()
    error = ""
    try:
        return call()
    except ConnectorError as failure:
        error = str(failure)
        raise
    finally:
        GrantAttempt.objects.create(
            grant=grant,
            step=step,
            at=now,
            milliseconds=int((time.monotonic() - started) * 1000),
            ok=not error,
            error=error[:1000],
        )


def provision(*, grant: Grant, now: dt.datetime) -> Issued:
    """Give the privilege until `grant.ends_at`; a repetition renews the credential."""
    connector, spec = connector_of(grant.target), spec_of(grant)
    return _journaled(grant, "provision", now, lambda: connector.provision(spec))


def extend(*, grant: Grant, ends_at: dt.datetime, now: dt.datetime) -> None:
    """Move the deadline that the target holds."""
    connector, spec = connector_of(grant.target), spec_of(grant, ends_at=ends_at)
    _journaled(grant, "extend", now, lambda: connector.extend(spec))


def revoke(
    *, target: Target, grants: Sequence[Grant], now: dt.datetime
) -> list[Revoked | ConnectorError]:
    """Take the privileges of one target back, each proven or failed, in the order given."""
    started = time.monotonic()
    try:
        connector = connector_of(target)
        keeping = connector.within(replace(connector.context, keep=_keeper(grants)))
        answers: list[Revoked | ConnectorError] = list(
            keeping.revoke([spec_of(grant, ends_at=grant.ends_at or now) for grant in grants])
        )
    except ConnectorError as failure:
        answers = [failure] * len(grants)
    milliseconds = int((time.monotonic() - started) * 1000)
    _journal_all(grants, answers, now=now, milliseconds=milliseconds)
    return answers


def _keeper(grants: Sequence[Grant]) -> Callable[[Mapping[str, Evidence]], None]:
    """Return what commits the evidence of an attempt under way, beside that of earlier ones, for
    as long as the grants are in this worker's hands.
    """
    by_name = {grant.external_name: grant for grant in grants}

    def keep(known: Mapping[str, Evidence]) -> None:
        ours = {name: by_name[name] for name in known if name in by_name}
        kept = [evidence.with_unfinished(ours[name].evidence, known[name]) for name in ours]
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE elevation_grant AS t SET evidence = k.evidence::jsonb "
                "FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS k(id, evidence, lease) "
                "WHERE t.id = k.id AND t.state = 'REVOKING' "
                "AND t.lease_until IS NOT DISTINCT FROM k.lease",
                [
                    [grant.pk for grant in ours.values()],
                    [json.dumps(each) for each in kept],
                    [grant.lease_until for grant in ours.values()],
                ],
            )

    return keep


def _journal_all(
    grants: Sequence[Grant],
    answers: Sequence[Revoked | ConnectorError],
    *,
    now: dt.datetime,
    milliseconds: int,
) -> None:
    """Write down how each grant of a batch fared, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO elevation_grantattempt (grant_id, step, at, milliseconds, ok, error) "
            "SELECT grant_id, 'revoke', %s, %s, ok, error "
            "FROM unnest(%s::uuid[], %s::boolean[], %s::text[]) AS attempt(grant_id, ok, error)",
            [
                now,
                milliseconds,
                [grant.pk for grant in grants],
                [isinstance(answer, Revoked) and answer.absent for answer in answers],
                [
                    str(answer)[:1000] if isinstance(answer, ConnectorError) else ""
                    for answer in answers
                ],
            ],
        )


def observe(target: Target) -> list[Seen]:
    return connector_of(target).observe()


def suspend(target: Target, seen: Seen) -> Mapping[str, Any]:
    return connector_of(target).suspend(seen.external_name)


def health(target: Target) -> Health:
    return connector_of(target).health()


def revoke_unknown(
    *, target: Target, seen: Seen, earlier: Evidence, now: dt.datetime
) -> Revoked | ConnectorError:
    """Remove privilege that was seen on the target and that no live grant accounts for; `earlier`
    is the evidence of the attempts at it so far.
    """
    spec = GrantSpec(
        grant_id=seen.external_name.removeprefix("jit_"),
        external_name=seen.external_name,
        principal="",
        role_config={},
        ends_at=now,
        generation=0,
        earlier=earlier,
    )
    try:
        return connector_of(target).revoke([spec])[0]
    except ConnectorError as failure:
        return failure


def _address(grant: Grant) -> str:
    return f"elevation.grant:{grant.pk}:credential"


def seal_credential(grant: Grant, issued: Issued) -> bytes:
    return crypto.seal(json.dumps(dict(issued.credential)).encode(), bound_to=_address(grant))


def open_credential(grant: Grant) -> dict[str, Any]:
    """Return the credential of a grant whose `credential` is not yet wiped."""
    opened: dict[str, Any] = json.loads(
        crypto.unseal(bytes(grant.credential or b""), bound_to=_address(grant))
    )
    return opened
