"""What a gateway needs to open a target under a grant; people never see it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from jit.connectors.base import ConnectorError
from jit.elevation import operations as elevation
from jit.elevation import provisioning, queries
from jit.elevation.models import Grant
from jit.elevation.states import GrantState
from jit.kernel import db
from jit.workflow import late
from jit.workflow.activate import LEASE
from jit.workflow.credential import CredentialBusy, CredentialNotActive, TargetUnavailable


def reach(*, grant_id: UUID) -> dict[str, Any]:
    """Return the credential that the target itself takes, which stays sealed beside the grant
    for the next session; a new one is set where the last was shown to its person.

    Not inside a transaction. Raises CredentialNotActive, CredentialBusy (try again in a
    moment) and TargetUnavailable.
    """
    with transaction.atomic():
        grant = queries.lock_grant(grant_id)
        now = db.now()
        if grant.state != GrantState.ACTIVE or grant.ends_at is None or grant.ends_at <= now:
            raise CredentialNotActive(f"This grant is {grant.state}.")
        if grant.credential is not None:
            return provisioning.open_credential(grant)
        if grant.lease_until is not None and grant.lease_until > now:
            raise CredentialBusy("The credential is being renewed; try again in a second.")
        elevation.take_lease(grant=grant, until=now + LEASE)
    try:
        issued = provisioning.provision(grant=grant, now=now)
    except ConnectorError as failure:
        elevation.drop_lease(grant=grant)
        raise TargetUnavailable(
            f"{grant.target.slug} did not set a new password: {failure}. Try again."
        ) from failure
    sealed = provisioning.seal_credential(grant, issued)
    with transaction.atomic():
        fresh = queries.lock_grant(grant_id)
        if fresh.state == GrantState.ACTIVE:
            elevation.drop_lease(grant=grant)
            Grant.objects.filter(pk=grant_id).update(credential=sealed)
            return dict(issued.credential)
    late.undo(grant=grant)
    raise CredentialNotActive(f"This grant is {fresh.state} by now.")
