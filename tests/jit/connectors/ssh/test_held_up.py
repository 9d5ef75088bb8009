"""Hosts and accounts that hold up what ends a grant: they spoil nothing for their neighbours."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from jit.connectors.base import Context, Unreachable
from jit.connectors.ssh import scripts
from jit.connectors.ssh.wire import Silent
from tests.contracts.ssh import OBSERVER, OPERATOR, SSHGround
from tests.support.sshd import Sshd

SECONDS = 6.0


@pytest.fixture
def other(ground: SSHGround) -> Iterator[Sshd]:
    """One more host of the target, which takes its list from the same file."""
    made = Sshd(
        name="web-2",
        krl_file=ground.krl,
        user_ca=ground.host.user_ca,
        host_ca=ground.host.host_ca,
    )
    with made:
        made.allow(OBSERVER, OPERATOR)
        yield made
        os.kill(made.processes()[0], signal.SIGCONT)


def test_a_host_that_hangs_does_not_delay_the_cut_on_another(
    ground: SSHGround, other: Sshd
) -> None:
    kept: dict[str, dict] = {}
    hosts = [{"name": h.name, "address": h.host, "port": h.port} for h in (ground.host, other)]
    context = Context(timeout_seconds=SECONDS, keep=kept.update)
    with closing(ground.connector(context, hosts=hosts)) as connector:
        spec = ground.spec()
        issued = connector.provision(spec)
        session = ground.log_in(issued.credential)
        assert session
        with closing(session):
            os.kill(other.processes()[0], signal.SIGSTOP)
            (answer,) = connector.revoke([spec])
            assert not session.works()
        assert isinstance(answer, Unreachable)
        assert "web-2" in str(answer)
        assert kept[spec.external_name]["hosts"]["web-1"]["connections_cut"] == 1
        assert answer.evidence["connections_cut"] == 1
        assert list(answer.evidence["hosts"]) == ["web-1"]


def test_an_account_that_answers_nothing_is_told_as_that(
    ground: SSHGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does whose shell's start files wait for something."""
    with closing(ground.connector(Context(timeout_seconds=SECONDS))) as connector:
        spec = ground.spec()
        connector.provision(spec)
        with monkeypatch.context() as patch:
            patch.setattr(scripts, "end", lambda _names, _tag: "exec sleep 30")
            (answer,) = connector.revoke([spec])
        assert isinstance(answer, Silent)
        assert str(answer) == (
            f"web-1 lets {ground.host.login} in, and no answer within 6 s: see what the start "
            "files of its shell (.bashrc) wait for"
        )
