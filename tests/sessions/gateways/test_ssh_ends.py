"""What was opened in a session ends with it: forwards, channels, and the line to the host."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import override_settings

from jit.catalog.models import Role
from jit.elevation import queries as elevation
from jit.elevation.models import Grant
from jit.elevation.states import EndReason
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.actor import CLOCK
from jit.workflow import revoke
from sessions.models import AccessSession
from sessions.operations import cutting, processes
from tests.support import people
from tests.support.forwarded import Forward, echo
from tests.support.processes import until
from tests.support.ssh_gateway import RunningGateway, Visitor, closed_session, hold, make_target
from tests.support.sshd import Sshd, new_authority, runs

WITHIN = 5
"""Seconds; the promise is one, on a machine that does nothing else."""


@pytest.fixture
def service() -> Iterator[int]:
    with echo() as port:
        yield port


@pytest.fixture
def forwarder(operator: Role, service: int) -> Role:
    operator.config = {**operator.config, "forwards": [{"host": "127.0.0.1", "port": service}]}
    operator.save()
    return operator


def returned(grant: Grant) -> None:
    rita = people.known_as("rita")
    revoke.give_back(grant_id=grant.pk, user=rita, actor=people.acting(rita))


def expired(grant: Grant) -> None:
    Grant.objects.filter(pk=grant.pk).update(ends_at=clock.now())


def its_person_left(grant: Grant) -> None:
    type(grant.user).objects.filter(pk=grant.user_id).update(
        is_active=False, disabled_at=clock.now()
    )


def taken_back_for(reason: EndReason) -> Callable[[Grant], None]:
    def take(grant: Grant) -> None:
        with transaction.atomic():
            locked = elevation.lock_grant(grant.pk)
            revoke.end(grant=locked, reason=reason, comment="Over.", actor=CLOCK)

    return take


def terminated(_grant: Grant) -> None:
    for session in AccessSession.objects.filter(state="LIVE"):
        terminated_one(session)


def terminated_one(session: AccessSession) -> None:
    people.group("auditors", Permission.SESSION_READ_ALL)
    udo = User.objects.filter(username="udo").first() or people.person("udo", "auditors")
    cutting.terminate(session_id=session.pk, user=udo, comment="Stop.", actor=people.acting(udo))


ENDS = {
    "returned": returned,
    "expired": expired,
    "revoked": taken_back_for(EndReason.REVOKED),
    "person-left": its_person_left,
    "ticket-closed": taken_back_for(EndReason.TICKET_CLOSED),
    "policy": taken_back_for(EndReason.POLICY),
    "terminated": terminated,
}


def fronts(gateway: RunningGateway) -> dict[UUID, Any]:
    """Return the live sessions of the gateway as it holds them."""
    return {pk: entry.live for pk, entry in gateway.supervisor._entries.items()}


def lines_at(host: Sshd) -> int:
    """Return how many processes serve connections of the host."""
    return len(host.processes()) - 1


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("command", [(), ("sleep 61",)], ids=["alone", "beside a command"])
def test_a_forward_does_not_outlive_its_grant(
    rita: Visitor, forwarder: Role, host: Sshd, service: int,
    end: Callable[[Grant], None], command: tuple[str, ...],
) -> None:  # fmt: skip
    grant = hold(forwarder)
    sessions = 1 + len(command)
    with closing(Forward(rita, service, *command)) as forward:
        assert forward.passes()
        until(lambda: AccessSession.objects.filter(state="LIVE").count() == sessions)
        end(grant)
        until(lambda: not forward.passes(), seconds=WITHIN)
        assert not forward.passes_anew()
        until(lambda: lines_at(host) == 0, seconds=WITHIN)
        assert forward.ssh.wait(10) in {254, 255}
    until(lambda: not AccessSession.objects.filter(closed_at__isnull=True).exists(), seconds=10)
    ended = [session.ended for session in AccessSession.objects.all()]
    assert sum(each["forwards"] for each in ended) == 1
    assert sum(each["connections"] for each in ended) == sessions


def test_no_forward_opens_in_a_session_that_was_ended(
    rita: Visitor, forwarder: Role, service: int
) -> None:
    hold(forwarder)
    with closing(Forward(rita, service, "sleep 62")) as forward:
        assert forward.passes()
        until(lambda: AccessSession.objects.filter(state="LIVE").count() == 2)
        (forwards,) = [pk for pk, live in fronts(rita.gateway).items() if live.channel is None]
        terminated_one(AccessSession.objects.get(pk=forwards))
        until(lambda: not forward.passes(), seconds=WITHIN)
        # The grant is good still: what opens now is another session, and on record as such.
        assert forward.passes_anew()
        assert forward.ssh.poll() is None
        assert AccessSession.objects.count() == 3
        assert AccessSession.objects.get(pk=forwards).closed_because == "terminated"


def test_each_forward_is_admitted_anew(rita: Visitor, forwarder: Role, service: int) -> None:
    hold(forwarder)
    with closing(Forward(rita, service)) as forward:
        assert forward.passes()
        Role.objects.update(enabled=False)
        assert not forward.passes_anew()
        Role.objects.update(enabled=True)
        assert forward.passes_anew()
        # What the role gives is asked for each as well.
        Role.objects.update(config={**forwarder.config, "forwards": []})
        assert not forward.passes_anew()


def test_a_removed_key_opens_nothing_more_on_a_connection_that_stays(
    rita: Visitor, forwarder: Role, service: int
) -> None:
    hold(forwarder)
    with closing(Forward(rita, service)) as forward:
        assert forward.passes()
        people.known_as("rita").ssh_keys.update(removed_at=clock.now())
        assert not forward.passes_anew()


def test_a_refused_forward_leaves_no_session_open(
    rita: Visitor, forwarder: Role, service: int
) -> None:
    target = forwarder.target
    target.config["host_cas"] = [new_authority().public_key]
    target.save()
    hold(forwarder)
    with closing(Forward(rita, service)) as forward:
        assert not forward.passes()
        assert closed_session().closed_because == "lost"


class TestFence:
    @pytest.mark.parametrize("away", ["silent", "gone"])
    def test_cuts_forwards_of_a_gateway_that_can_not_look(
        self, rita: Visitor, forwarder: Role, host: Sshd, service: int,
        monkeypatch: pytest.MonkeyPatch, away: str,
    ):  # fmt: skip
        """A fake database: the question of the gateway is never answered, or fails."""
        hold(forwarder)
        answered = threading.Event()

        def no_answer(**_: object) -> bool:
            if away == "gone":
                raise OSError("the database is gone")
            answered.wait(60)
            return True

        with closing(Forward(rita, service)) as forward, override_settings(GATEWAY_FENCE=1):
            assert forward.passes()
            monkeypatch.setattr(processes, "beat", no_answer)
            until(lambda: not forward.passes(), seconds=WITHIN + 1)
            assert not forward.passes_anew()
            until(lambda: lines_at(host) == 0, seconds=WITHIN)
            monkeypatch.undo()
            answered.set()
            assert closed_session().closed_because == "lost"


class TestLineToTheHost:
    @pytest.fixture
    def line(self, rita: Visitor, tmp_path: Path) -> Iterator[list[str]]:
        """A multiplexing client's connection, as `ssh -M` keeps it."""
        path = [f"-oControlPath={tmp_path}/line"]
        yield path
        rita.ssh(options=[*path, "-O", "exit"])

    def open_line(self, rita: Visitor, line: list[str], login: str) -> None:
        rita.open(options=["-M", "-N", *line], login=login)
        until(lambda: Path(line[0].partition("=")[2]).exists(), seconds=20)

    def test_belongs_to_one_grant(self, rita: Visitor, operator: Role, host: Sshd, line: list[str]):
        first = hold(operator)
        self.open_line(rita, line, operator.slug)
        told = "echo $JIT_GRANT"
        assert first.external_name in rita.ssh(told, options=line).stdout.decode()
        # With nothing open in it, nothing of it stays on the host either.
        until(lambda: lines_at(host) == 0, seconds=WITHIN)
        Grant.objects.update(state="ENDED", revocation_verified_at=clock.now())
        second = hold(operator)
        assert second.external_name in rita.ssh(told, options=line).stdout.decode()

    def test_is_another_where_the_host_takes_no_more_channels(
        self, rita: Visitor, operator: Role, tmp_path: Path, line: list[str]
    ):
        with Sshd(extra=["MaxSessions 3"]) as strict:
            role = make_target(strict, tmp_path / "strict-ca", slug="strict")
            hold(role)
            self.open_line(rita, line, role.slug)
            told = "read -r word; echo $word"
            ten = [rita.open(told, options=line, login=role.slug) for _ in range(10)]
            until(lambda: AccessSession.objects.filter(state="LIVE").count() == 10, seconds=40)
            for one in ten:
                one.stdin.write(b"all at once\n")
                one.stdin.flush()
            assert {one.stdout.readline() for one in ten} == {b"all at once\n"}


class TestPrograms:
    def test_that_closed_its_output_is_ended_all_the_same(
        self, rita: Visitor, operator: Role, host: Sshd
    ):
        grant = hold(operator)
        stays = rita.open("exec sleep 63 >&- 2>&-")
        until(lambda: runs(host, "sleep 63"))
        returned(grant)
        until(lambda: stays.poll() is not None, seconds=10)
        until(lambda: not runs(host, "sleep 63"), seconds=WITHIN)
        assert closed_session().closed_because == "revoked"

    @pytest.mark.parametrize("options", [[], ["-tt"]], ids=["bare", "on a terminal"])
    def test_does_not_run_on_once_an_auditor_ended_its_session(
        self, rita: Visitor, operator: Role, host: Sshd, options: list[str]
    ):
        hold(operator)
        rita.open("sleep 64; echo never", options=options)
        until(lambda: runs(host, "sleep 64"))
        terminated_one(until(lambda: AccessSession.objects.filter(state="LIVE").first()))
        until(lambda: not runs(host, "sleep 64"), seconds=WITHIN)

    def test_does_not_run_on_once_its_person_is_gone(
        self, rita: Visitor, operator: Role, host: Sshd
    ):
        hold(operator)
        leaves = rita.open("sleep 65; echo never")
        until(lambda: runs(host, "sleep 65"))
        leaves.kill()
        until(lambda: not runs(host, "sleep 65"), seconds=WITHIN)

    def test_that_was_left_behind_on_purpose_stays_with_its_grant(
        self, rita: Visitor, operator: Role, host: Sshd
    ):
        hold(operator)
        assert rita.ssh("setsid sleep 14 >/dev/null 2>&1 </dev/null & echo left").stdout
        closed_session()
        assert runs(host, "sleep 14")

    def test_of_sftp_end_with_the_grant(self, rita: Visitor, operator: Role, host: Sshd):
        grant = hold(operator)
        stays = rita.open("sftp", options=["-s"])
        until(lambda: AccessSession.objects.filter(state="LIVE").exists())
        until(lambda: lines_at(host) > 1)
        returned(grant)
        assert stays.wait(10) == 254
        until(lambda: lines_at(host) == 0, seconds=WITHIN)
