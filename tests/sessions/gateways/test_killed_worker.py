"""A worker that is killed between the cut and the proof: what it ended is in the final evidence."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from jit.catalog.models import Role
from jit.connectors.ssh import scripts
from jit.connectors.ssh.config import SSHConfig
from jit.elevation.models import Grant
from jit.kernel import clock
from jit.workflow import revoke
from tests.support import dying_worker
from tests.support.processes import until
from tests.support.ssh_gateway import hold
from tests.support.sshd import Sshd, runs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("moment", "step"), [("after", "see it refused"), ("before", "see it refused")]
)
def test_what_a_killed_worker_ended_on_a_host_is_in_the_final_evidence(
    operator: Role, host: Sshd, tmp_path: Path, moment: str, step: str
) -> None:
    grant = hold(operator)
    tag = SSHConfig.parse(operator.target.config).tag
    mark = f"export {scripts.MARK}={grant.external_name}@{tag};"
    with closing(host.client(force_command=f"{mark} sleep 611 & exec sleep 612")) as rita:
        session = rita.open()
        until(lambda: runs(host, "sleep 611"))
        until(lambda: runs(host, "sleep 612"))
        Grant.objects.filter(pk=grant.pk).update(ends_at=clock.now())
        dying_worker.revoke_and_die(moment, step)
        grant.refresh_from_db()
        assert grant.state == "REVOKING"
        if moment == "after":
            assert session.wait(20) is not None
            assert grant.evidence["unfinished_attempt"]["connections_cut"] == 1
        Grant.objects.filter(pk=grant.pk).update(lease_until=clock.now())
        assert revoke.revoke_due(only=[grant.pk]) == 1
        session.kill()
        session.wait(10)
        for pipe in (session.stdin, session.stdout):
            if pipe is not None:
                pipe.close()
    grant.refresh_from_db()
    assert grant.state == "ENDED"
    assert "unfinished_attempt" not in grant.evidence
    for told in (grant.evidence, grant.evidence["hosts"][host.name]):
        assert told["connections_cut"] == 1
        assert told["processes_ended"] == 2
        assert told.get("connections_left", 0) == 0
