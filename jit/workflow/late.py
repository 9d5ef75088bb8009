"""A call to the target that came back after its grant had ended: what it gave is taken away."""

from __future__ import annotations

import logging

from django.db import transaction

from jit.connectors.base import ConnectorError
from jit.elevation import operations as elevation
from jit.elevation import queries
from jit.elevation.models import Grant
from jit.elevation.states import GrantState
from jit.kernel import tasks
from jit.workflow import reconcile

log = logging.getLogger(__name__)


def undo(*, grant: Grant) -> None:
    """Take back what a provisioning gave to a grant that is no longer to have it.

    While the grant is REVOKING its revocation does that, and is let go on. One that was seen
    gone and ENDED (its worker's lease had run out) was given again just now: the target is
    compared with the books at once, which removes it and puts it on record.
    """
    with transaction.atomic():
        fresh = queries.lock_grant(grant.pk)
        if fresh.state == GrantState.REVOKING:
            elevation.drop_lease(grant=grant)
            tasks.enqueue_on_commit("jit.workflow.revoke", str(grant.pk))
            return
    try:
        reconcile.reconcile(target=fresh.target)
    except ConnectorError as failure:
        log.warning("a late call for %s is left to the next reconciliation: %s", grant, failure)
