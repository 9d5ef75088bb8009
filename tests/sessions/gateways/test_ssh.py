from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from jit.audit.models import AuditEvent
from jit.catalog import sealed_store
from jit.catalog.models import Role
from jit.elevation.models import Grant
from jit.kernel import clock
from jit.kernel.actor import CLOCK
from sessions.models import AccessSession
from sessions.operations import cutting
from tests.support import people
from tests.support.processes import until
from tests.support.ssh_gateway import (
    OPERATOR,
    RunningGateway,
    Visitor,
    closed_session,
    events_of,
    facts_of,
    hold,
    output_of,
    password_for,
)
from tests.support.sshd import Sshd, runs


def live_session() -> AccessSession:
    return until(lambda: AccessSession.objects.filter(state="LIVE").first())


class TestExec:
    def test_keeps_output_errors_and_status_apart_and_records_both(
        self, rita: Visitor, operator: Role
    ):
        hold(operator)
        done = rita.ssh("echo shown; echo wrong >&2; exit 3")
        assert (done.stdout, done.stderr, done.returncode) == (b"shown\n", b"wrong\n", 3)
        session = closed_session()
        assert (session.closed_because, session.exit_status) == ("logout", 3)
        events = events_of(rita.gateway, session)
        assert {"shown", "wrong"} == set(output_of(events).split())
        (command,) = facts_of(events, "command")
        assert command["text"] == "echo shown; echo wrong >&2; exit 3"
        assert [event.text for event in events if event.code == "x"] == ["3"]

    def test_runs_as_the_roles_account(self, rita: Visitor, operator: Role, host: Sshd):
        hold(operator)
        assert rita.ssh("id -un").stdout.decode().strip() == host.login

    def test_reaches_a_host_whose_authoritys_key_is_in_the_sealed_store(
        self, rita: Visitor, operator: Role, host: Sshd
    ):
        target = operator.target
        target.config["ca"] = "db:web-ca"
        target.save()
        hold(operator)
        refused = rita.ssh("true", options=["-oLogLevel=INFO"])
        assert b"the sealed store has no secret web-ca" in refused.stderr
        key = SecretStr(host.user_ca_key)
        sealed_store.put(name="web-ca", secret=key, actor=CLOCK, now=clock.now())
        assert rita.ssh("echo here").stdout == b"here\n"

    def test_passes_input_on_and_keeps_it_off_the_disk(self, rita: Visitor, operator: Role):
        hold(operator)
        done = rita.ssh("sha256sum", input=b"correct horse")
        assert hashlib.sha256(b"correct horse").hexdigest().encode() in done.stdout
        assert "correct horse" not in str(events_of(rita.gateway, closed_session()))

    def test_carries_a_megabyte_each_way_unchanged(self, rita: Visitor, operator: Role):
        hold(operator)
        sent = bytes(range(256)) * 8192
        assert rita.ssh("cat", input=sent).stdout == sent

    def test_lets_one_connection_run_many_commands(
        self, rita: Visitor, operator: Role, tmp_path: Path
    ):
        hold(operator)
        mux = [f"-oControlPath={tmp_path}/mux", "-oControlMaster=auto", "-oControlPersist=5"]
        try:
            assert rita.ssh("echo one", options=mux).stdout == b"one\n"
            assert rita.ssh("echo two", options=mux).stdout == b"two\n"
        finally:
            rita.ssh(options=[*mux, "-O", "exit"])
        assert AccessSession.objects.count() == 2

    def test_tells_a_status_that_comes_after_the_end_of_the_output(
        self, rita: Visitor, operator: Role, tmp_path: Path
    ):
        """A multiplexing client had closed by then, and the status was lost: one short command in
        ten ended with 255.
        """
        hold(operator)
        mux = [f"-oControlPath={tmp_path}/mux", "-oControlMaster=auto", "-oControlPersist=5"]
        try:
            assert rita.ssh("exit 6", options=mux).returncode == 6
            late = rita.ssh("exec >&- 2>&-; sleep 0.5; exit 7", options=mux)
            assert late.returncode == 7
        finally:
            rita.ssh(options=[*mux, "-O", "exit"])
        statuses = AccessSession.objects.values_list("exit_status", flat=True)
        assert until(lambda: set(statuses.all()), lambda seen: seen == {6, 7})


class TestTerminal:
    def test_has_the_size_that_was_asked_for_and_is_recorded(self, rita: Visitor, operator: Role):
        hold(operator)
        done = rita.ssh(
            "stty size", options=["-tt"], input=b"", env={"TERM": "xterm", "PATH": "/usr/bin:/bin"}
        )
        session = closed_session()
        events = events_of(rita.gateway, session)
        assert done.stdout.strip() in output_of(events).encode()
        assert any(event.code == "r" for event in events)


class TestRefusals:
    def test_names_what_one_holds_when_the_grant_is_not_ones_own(
        self, gateway: RunningGateway, rita: Visitor, operator: Role
    ):
        hold(operator, "ada")
        done = rita.ssh("id", options=["-oLogLevel=INFO"])
        assert done.returncode != 0
        assert b"No grant of yours is called 'web-1-operator'" in done.stderr
        assert not AccessSession.objects.exists()

    def test_asks_the_catalogue_again_and_says_so_in_the_log(self, rita: Visitor, operator: Role):
        grant = hold(operator)
        Role.objects.update(enabled=False)
        done = rita.ssh("id", options=["-oLogLevel=INFO"])
        assert b"web-1-operator is no longer in the catalogue." in done.stderr
        (event,) = AuditEvent.objects.filter(action="session.refused")
        assert event.grant_id == grant.pk

    def test_refuses_a_key_that_nobody_registered(
        self, rita: Visitor, operator: Role, tmp_path: Path
    ):
        hold(operator)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True
        )
        done = rita.ssh("id", options=["-oIdentityFile=none", f"-i{tmp_path}/other"])
        # ssh tries both keys that are named; only the registered one opens the door.
        assert done.returncode == 0
        argv = [
            "ssh", *rita.options(key=tmp_path / "other"), "-p", str(rita.gateway.port),
            f"{OPERATOR}@{rita.gateway.host}", "id",
        ]  # fmt: skip
        refused = subprocess.run(argv, check=False, capture_output=True, timeout=20)
        assert b"Permission denied" in refused.stderr

    def test_refuses_a_removed_key(self, rita: Visitor, operator: Role):
        from sessions.operations import keys

        hold(operator)
        user = people.known_as("rita")
        (key,) = user.ssh_keys.all()
        keys.remove_key(user=user, key_id=key.pk, actor=people.acting(user), now=clock.now())
        assert b"Permission denied" in rita.ssh("id").stderr

    def test_a_password_opens_one_session_and_no_second(
        self, rita: Visitor, operator: Role, tmp_path: Path
    ):
        password = password_for(hold(operator))
        first = with_password(rita, password, tmp_path)
        assert first.stdout.strip() == b"once"
        second = with_password(rita, password, tmp_path)
        assert b"Permission denied" in second.stderr
        assert closed_session().proof == "token"

    def test_refuses_agent_and_ports_back(self, rita: Visitor, operator: Role):
        hold(operator)
        seen = rita.ssh("echo [$SSH_AUTH_SOCK]", options=["-A"])
        assert seen.stdout == b"[]\n"
        back = rita.ssh("true", options=["-R", "0:127.0.0.1:1", "-oExitOnForwardFailure=yes"])
        assert back.returncode != 0
        assert b"remote port forwarding failed" in back.stderr

    def test_refuses_what_the_role_does_not_give(self, host: Sshd, rita: Visitor, operator: Role):
        Role.objects.update(
            config={"principals": ["web"], "exec": False, "sftp": False, "direct": False}
        )
        hold(operator)
        assert b"Your role gives a shell, not single commands" in rita.ssh("id").stderr
        assert b"does not give file transfers" in rita.sftp("ls\n").stderr

    def test_names_a_host_that_is_not_the_one_it_says(
        self, host: Sshd, gateway: RunningGateway, rita: Visitor, operator: Role
    ):
        from tests.support.sshd import new_authority

        target = operator.target
        target.config["host_cas"] = [new_authority().public_key]
        target.save()
        hold(operator)
        done = rita.ssh("id")
        assert b"did not prove that it is web-1" in done.stderr
        assert closed_session().closed_because == "lost"


class TestForwards:
    def test_goes_only_where_the_role_says(self, host: Sshd, rita: Visitor, operator: Role):
        Role.objects.update(
            config={"principals": ["web"], "forwards": [{"host": "127.0.0.1", "port": host.port}]}
        )
        hold(operator)
        # -W joins our stdin to the forwarded port: sshd's own banner comes back.
        there = rita.open(options=["-W", f"127.0.0.1:{host.port}"])
        assert there.stdout.readline().startswith(b"SSH-2.0-OpenSSH")
        there.stdin.close()
        there.wait(10)
        elsewhere = rita.ssh(options=["-oLogLevel=INFO", "-W", "127.0.0.1:1"])
        assert b"Your role does not forward to 127.0.0.1:1" in elsewhere.stderr
        facts = facts_of(events_of(rita.gateway, closed_session()), "forward")
        assert facts[0]["refused"] is True


class TestFiles:
    @pytest.mark.parametrize("old", [False, True], ids=["sftp", "rcp"])
    def test_are_on_record_with_size_and_digest(
        self, rita: Visitor, operator: Role, host: Sshd, tmp_path: Path, old: bool
    ):
        hold(operator)
        content = bytes(range(256)) * 1200
        (tmp_path / "up").write_bytes(content)
        there = f"/tmp/jit-test-{tmp_path.name}-{old}"
        up = rita.copy(str(tmp_path / "up"), f":{there}", old=old)
        assert up.returncode == 0, up.stderr
        fact = facts_of(events_of(rita.gateway, closed_session()), "file")[-1]
        assert (fact["op"], fact["bytes"]) == ("upload", len(content))
        assert fact["sha256"] == hashlib.sha256(content).hexdigest()
        down = rita.copy(f":{there}", str(tmp_path / "down"), old=old)
        assert (tmp_path / "down").read_bytes() == content, down.stderr
        until(lambda: AccessSession.objects.filter(closed_at__isnull=True).count() == 0)
        facts = facts_of(events_of(rita.gateway, closed_session()), "file")
        assert [fact["sha256"] for fact in facts if fact["op"] == "download"] == [
            hashlib.sha256(content).hexdigest()
        ]
        rita.ssh(f"rm {there}")

    def test_that_are_renamed_and_removed_are_on_record(
        self, rita: Visitor, operator: Role, tmp_path: Path
    ):
        hold(operator)
        (tmp_path / "up").write_bytes(b"x")
        name = f"/tmp/jit-test-{tmp_path.name}"
        done = rita.sftp(
            f"put {tmp_path}/up {name}\nrename {name} {name}2\nrm {name}2\nrm {name}-never\n"
        )
        assert b"No such file" in done.stderr
        facts = facts_of(events_of(rita.gateway, closed_session()), "file")
        assert [fact["op"] for fact in facts if "error" not in fact][-3:] == [
            "upload", "rename", "remove",
        ]  # fmt: skip


class TestEnds:
    def test_at_the_grants_end_with_the_program_dead(
        self, rita: Visitor, operator: Role, host: Sshd
    ):
        hold(operator)
        stays = rita.open("sleep 41; echo never")
        live_session()
        Grant.objects.update(ends_at=clock.now() + clock.dt.timedelta(seconds=2))
        assert stays.wait(40) == 254
        assert b"Your grant has ended." in stays.stderr.read()
        assert closed_session().closed_because == "expired"
        until(lambda: not runs(host, "sleep 41"), seconds=2)

    def test_after_a_warning_a_minute_before(self, rita: Visitor, operator: Role):
        hold(operator)
        Grant.objects.update(ends_at=clock.now() + clock.dt.timedelta(seconds=63))
        stays = rita.open("sleep 40", options=["-tt"])
        live_session()
        said = b""
        while b"one minute" not in said:
            said += os.read(stays.stdout.fileno(), 1000)
        assert b"This session ends in one minute, with your grant." in said

    def test_later_when_the_grant_was_extended(
        self, gateway: RunningGateway, rita: Visitor, operator: Role
    ):
        hold(operator, seconds=30)
        stays = rita.open("sleep 40")
        session = live_session()
        entry = gateway.supervisor._entries[session.pk]
        before = entry.over_at
        Grant.objects.update(ends_at=clock.now() + clock.dt.timedelta(seconds=600))
        until(lambda: entry.over_at > before + 500, seconds=5)
        assert stays.poll() is None

    def test_at_once_when_the_grant_is_taken_back(self, rita: Visitor, operator: Role, host: Sshd):
        grant = hold(operator)
        stays = rita.open("sleep 42")
        live_session()
        Grant.objects.update(end_reason="revoked")
        grant.refresh_from_db()
        assert cutting.cut(grants=[grant], now=clock.now()) == set()
        assert stays.wait(5) == 254
        assert b"Your grant was taken back." in stays.stderr.read()
        assert closed_session().closed_because == "revoked"
        until(lambda: not runs(host, "sleep 42"), seconds=2)

    def test_kills_a_program_whose_input_has_ended(self, rita: Visitor, operator: Role, host: Sshd):
        grant = hold(operator)
        stays = rita.open("sleep 47")
        live_session()
        stays.stdin.close()
        until(lambda: runs(host, "sleep 47"))
        Grant.objects.update(end_reason="revoked")
        grant.refresh_from_db()
        cutting.cut(grants=[grant], now=clock.now())
        assert stays.wait(5) == 254
        until(lambda: not runs(host, "sleep 47"), seconds=2)

    def test_when_its_person_is_disabled(self, rita: Visitor, operator: Role):
        hold(operator)
        stays = rita.open("sleep 43")
        live_session()
        user = people.known_as("rita")
        type(user).objects.filter(pk=user.pk).update(is_active=False, disabled_at=clock.now())
        assert stays.wait(5) == 254

    def test_by_an_auditors_click_with_the_reason_on_screen(self, rita: Visitor, operator: Role):
        from jit.identity.permissions import Permission

        hold(operator)
        stays = rita.open("sleep 44")
        session = live_session()
        people.group("auditors", Permission.SESSION_READ_ALL)
        udo = people.person("udo", "auditors")
        cutting.terminate(
            session_id=session.pk, user=udo, comment="Wrong host.", actor=people.acting(udo)
        )
        assert stays.wait(5) == 254
        assert b"udo ended this session: Wrong host." in stays.stderr.read()
        seen = closed_session()
        assert (seen.closed_because, seen.closed_comment) == (
            "terminated", "udo ended this session: Wrong host.",
        )  # fmt: skip

    def test_with_its_person_killing_what_still_runs(
        self, rita: Visitor, operator: Role, host: Sshd
    ):
        hold(operator)
        leaves = rita.open("sleep 45")
        live_session()
        until(lambda: runs(host, "sleep 45"))
        leaves.send_signal(signal.SIGKILL)
        leaves.wait(5)
        assert closed_session().closed_because == "lost"
        until(lambda: not runs(host, "sleep 45"), seconds=3)

    def test_as_lost_when_the_gateway_was_given_up(self, rita: Visitor, operator: Role):
        from sessions.models import GatewayProcess
        from sessions.operations import processes

        hold(operator)
        stays = rita.open("sleep 46")
        live_session()
        long_ago = clock.now() - clock.dt.timedelta(hours=1)
        GatewayProcess.objects.update(seen_at=long_ago)
        until(lambda: GatewayProcess.objects.filter(seen_at__gt=long_ago).exists())
        GatewayProcess.objects.update(seen_at=long_ago)
        assert processes.bury_the_silent() == 1
        assert stays.wait(5) == 254
        assert closed_session().closed_because == "lost"


class TestRecorder:
    def test_that_must_run_and_can_not_lets_nobody_in(
        self, rita: Visitor, operator: Role, monkeypatch: pytest.MonkeyPatch
    ):
        from sessions.recording import spool

        monkeypatch.setattr(spool, "LEAST_FREE", 1 << 60)
        hold(operator, record="required")
        done = rita.ssh("echo in", options=["-oLogLevel=INFO"])
        assert b"can't be recorded" in done.stderr
        assert b"in" not in done.stdout
        assert closed_session().closed_because == "terminated"

    def test_that_may_be_missing_lets_people_in(
        self, rita: Visitor, operator: Role, monkeypatch: pytest.MonkeyPatch
    ):
        from sessions.recording import spool

        monkeypatch.setattr(spool, "LEAST_FREE", 1 << 60)
        hold(operator, record="best_effort")
        assert rita.ssh("echo in").stdout == b"in\n"

    def test_that_dies_ends_what_must_be_recorded(self, rita: Visitor, operator: Role):
        hold(operator, record="required")
        stays = rita.open("while sleep 0.1; do echo tick; done")
        session = live_session()
        tape = rita.gateway.recorder.writers[session.pk]
        rita.gateway.recorder.failed(tape, "the disk is gone")
        assert stays.wait(5) == 254
        assert b"can't be recorded any more: the disk is gone" in stays.stderr.read()


def with_password(rita: Visitor, password: str, folder: Path):
    """Run ssh with a password, asked for as a person at a screen would be."""
    asker = folder / "asker"
    asker.write_text('#!/bin/sh\necho "$JIT_TEST_PASSWORD"\n')
    asker.chmod(0o700)
    argv = rita.argv(
        "echo once",
        options=["-oPubkeyAuthentication=no", "-oBatchMode=no", "-oNumberOfPasswordPrompts=1"],
    )
    argv = [word for word in argv if word != "-oBatchMode=yes"]
    return subprocess.run(
        argv,
        check=False,
        capture_output=True,
        timeout=20,
        stdin=subprocess.DEVNULL,
        env={
            "SSH_ASKPASS": str(asker),
            "SSH_ASKPASS_REQUIRE": "force",
            "JIT_TEST_PASSWORD": password,
            "PATH": "/usr/bin:/bin",
        },
    )
