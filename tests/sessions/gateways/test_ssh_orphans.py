"""What is nobody's orphan: whatever else runs on the host while a grant's leftovers are ended."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from jit.audit.models import AuditEvent
from jit.catalog.models import Role, Target
from jit.connectors.base import ConnectorError, Revoked
from jit.elevation import provisioning
from jit.elevation.models import Grant, Orphan
from jit.kernel import clock
from jit.workflow import reconcile
from tests.support import people
from tests.support.processes import until
from tests.support.ssh_gateway import RunningGateway, Visitor, gateway_in, hold, make_target
from tests.support.sshd import Client, Sshd, runs

LEFT = "setsid sleep {} >/dev/null 2>&1 </dev/null & echo left"
"""Starts a program that outlives its session, for this many seconds."""


@pytest.fixture(params=[False, True], ids=["an account", "root"])
def shared(request: pytest.FixtureRequest) -> Iterator[Sshd]:
    """A host on which everybody comes in as one account; as root one sees every process there."""
    with Sshd(as_root=request.param) as running:
        yield running


@pytest.fixture
def role(shared: Sshd, transactional_db: None, tmp_path: Path) -> Role:
    people.group("sre-managers")
    return make_target(shared, tmp_path / "ca")


@pytest.fixture
def neighbour(shared: Sshd, role: Role, tmp_path: Path) -> Role:
    """Another target's role on the same host and account, with a list of its own."""
    other = make_target(shared, tmp_path / "ca", slug="web-2")
    other.target.config["krl"] = str(tmp_path / "other.krl")
    other.target.save()
    return other


@pytest.fixture
def gateway(role: Role, tmp_path: Path) -> Iterator[RunningGateway]:
    with gateway_in(tmp_path) as running:
        yield running


@pytest.fixture
def ada(gateway: RunningGateway) -> Iterator[Visitor]:
    visitor = Visitor(gateway, "ada")
    yield visitor
    visitor.close()


@pytest.fixture
def administrator(shared: Sshd) -> Iterator[Client]:
    """Somebody with a way in of their own, who looks for marks while they are there."""
    with closing(shared.client(key_id="administrator", principals=["web"])) as client:
        yield client


@contextmanager
def at_work(administrator: Client, command: str) -> Iterator[subprocess.Popen[str]]:
    """Have the administrator run this meanwhile."""
    with administrator.open(command) as left:
        try:
            yield left
        finally:
            left.kill()


def compared() -> bool:
    """Compare both targets with the books, as the clock does again and again; return whether
    both could be looked at and nothing was left to be removed.
    """
    with suppress(ConnectorError):
        found = [reconcile.reconcile(target=target) for target in Target.objects.all()]
        return found == [0, 0]
    return False


def over(grant: Grant) -> None:
    Grant.objects.filter(pk=grant.pk).update(
        state="ENDED", end_reason="returned", revocation_verified_at=clock.now()
    )


def test_a_session_of_somebody_else_is_never_an_orphan(
    rita: Visitor, ada: Visitor, role: Role, neighbour: Role, shared: Sshd, administrator: Client
) -> None:
    ended = hold(role)
    rita.open("sleep 701")
    assert rita.ssh(LEFT.format(702)).stdout == b"left\n"
    until(lambda: runs(shared, "sleep 701"))
    theirs = hold(role, "ada")
    ada.open("sleep 711")
    assert ada.ssh(LEFT.format(712)).stdout == b"left\n"
    hold(neighbour)
    rita.open("sleep 721", login=neighbour.slug)
    mark = f"JIT_GRANT={ended.external_name}@{rita.gateway.folder.name}"
    command = f"OLD_{mark} sh -c 'sleep 731; : {mark}'"
    with at_work(administrator, command) as left:
        words = ["sleep 711", "sleep 712", "sleep 721", "sleep 731"]
        for word in words:
            until(lambda word=word: runs(shared, word))  # type: ignore[misc]

        over(ended)
        again = hold(role)
        rita.open("sleep 741")
        words.append("sleep 741")
        until(lambda: runs(shared, "sleep 741"))
        until(compared, seconds=120)

        assert [runs(shared, word) for word in ("sleep 701", "sleep 702")] == [False, False]
        assert {word: runs(shared, word) for word in words} == dict.fromkeys(words, True)
        assert left.poll() is None
        (orphan,) = Orphan.objects.all()
        assert (orphan.external_name, orphan.resolution) == (ended.external_name, "removed")
        events = AuditEvent.objects.filter(action__startswith="orphan.")
        assert set(events.values_list("subject_id", flat=True)) == {ended.external_name}
        # Nor is anything of the living found later, or lost.
        assert compared()
        assert Orphan.objects.count() == 1
        assert not Grant.objects.filter(pk__in=[theirs.pk, again.pk], lost_at__isnull=False)


def test_the_end_of_a_grant_counts_its_own_processes_alone(
    rita: Visitor, ada: Visitor, role: Role, shared: Sshd, administrator: Client
) -> None:
    grant = hold(role)
    rita.open("sleep 751")
    hold(role, "ada")
    ada.open("sleep 752")
    with at_work(administrator, "sleep 753"):
        for word in ("sleep 751", "sleep 752", "sleep 753"):
            until(lambda word=word: runs(shared, word))  # type: ignore[misc]
        answers = []

        def ended() -> bool:
            answers.extend(provisioning.revoke(target=role.target, grants=[grant], now=clock.now()))
            return isinstance(answers[-1], Revoked)

        until(ended, seconds=120)
        evidence = [getattr(answer, "evidence", None) or {} for answer in answers]
        assert sum(each.get("connections_cut", 0) for each in evidence) <= 1
        assert sum(each.get("connections_found", 0) for each in evidence) <= 1
        assert evidence[-1]["connections_found"] == 0
        assert unread_threads(evidence[-1]) == []
        assert not runs(shared, "sleep 751")
        assert runs(shared, "sleep 752")
        assert runs(shared, "sleep 753")


def unread_threads(evidence: Mapping[str, Any]) -> list[str]:
    """Return the kernel's threads among the processes that could not be read: they are nobody's.
    Of those alone /proc tells no program.
    """
    pids = [
        name.rpartition(" ")[2] for host in evidence["hosts"].values() for name in host["unread"]
    ]
    found = []
    for pid in pids:
        with suppress(OSError):
            if not Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found
