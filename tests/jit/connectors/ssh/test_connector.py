"""What is particular to SSH; what every connector must do is in tests/contracts."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from jit.connectors.base import InvalidConfig, Refused, Revoked, Unreachable
from jit.connectors.ssh import certificates, keys, scripts
from jit.connectors.ssh.config import SSHRole
from jit.connectors.ssh.wire import NotThatHost, ShutOut
from jit.kernel import clock
from tests.contracts.ground import until
from tests.contracts.ssh import OBSERVER
from tests.support.sshd import new_authority


def role(**changes):
    return {"principals": ["web-operator"], **changes}


def given(ground, connector, **changes):
    """Return a grant's spec and what its holder was handed."""
    spec = replace(ground.spec(), role_config=role(**changes))
    return spec, connector.provision(spec).credential


class TestProvision:
    def test_hands_out_what_opens_the_host_and_says_whose_it_is(self, ground, connector):
        spec, credential = given(ground, connector)
        found = certificates.read(credential["certificate"])
        assert found.key_id == spec.external_name
        assert found.principals == ("web-operator",)
        assert found.valid_before <= spec.ends_at
        assert found.extensions == {"permit-pty"}
        with closing(ground.client(credential)) as rita:
            done = rita.ssh("echo $JIT_GRANT")
            assert done.stdout.strip() == f"{spec.external_name}@{connector.config.tag}"
            assert f"ID {spec.external_name}" in ground.host.log()

    def test_the_ready_line_connects(self, ground, connector, tmp_path):
        import shlex
        import subprocess

        spec, credential = given(ground, connector)
        for suffix, key in (("", "private_key"), ("-cert.pub", "certificate")):
            path = tmp_path / f"{spec.external_name}{suffix}"
            path.write_text(credential[key])
            path.chmod(0o600)
        (tmp_path / f"{spec.external_name}-known_hosts").write_text(credential["known_hosts"])
        line = [*shlex.split(credential["ssh"]), "-F", "none", "-o", "BatchMode=yes", "id -un"]
        done = subprocess.run(line, check=False, cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.strip() == ground.host.login, done.stderr

    @pytest.mark.parametrize(
        ("changes", "command", "said"),
        [
            ({"shell": False, "exec": False}, ["true"], "allows no commands"),
            ({"shell": False, "exec": False}, [], "allows no shell"),
        ],
    )
    def test_a_role_for_files_alone_runs_nothing(self, ground, connector, changes, command, said):
        _spec, credential = given(ground, connector, **changes)
        with closing(ground.client(credential)) as rita:
            done = rita.ssh(*command)
            assert done.returncode == 126
            assert said in done.stderr
            done = rita.scp("/etc/hostname", ":/tmp/jit-hostname")
            assert done.returncode == 0, done.stderr

    def test_a_role_without_files_copies_none(self, ground, connector):
        _spec, credential = given(ground, connector, sftp=False)
        with closing(ground.client(credential)) as rita:
            assert rita.scp("/etc/hostname", ":/tmp/jit-hostname").returncode != 0
            assert rita.ssh("echo yes").stdout == "yes\n"

    def test_no_port_is_forwarded_by_a_direct_certificate(self, ground, connector):
        forwards = [{"host": "127.0.0.1", "port": ground.host.port}]
        _spec, credential = given(ground, connector, forwards=forwards)
        with closing(ground.client(credential)) as rita:
            done = rita.ssh(options=["-W", f"127.0.0.1:{ground.host.port}"])
            assert "administratively prohibited" in done.stderr

    def test_a_role_through_the_gateway_alone_hands_out_no_certificate(self, ground, connector):
        spec, credential = given(ground, connector, direct=False)
        assert set(credential) == {"host", "port", "user"}
        assert ground.names() == {spec.external_name}
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked)

    def test_asks_that_the_host_keeps_the_list(self, ground, connector):
        config = ground.host.folder / "config"
        other = ground.host.folder / "other.krl"
        other.write_bytes(ground.krl.read_bytes())
        spec = ground.spec()
        connector.ledger.ensure()
        text = config.read_text()
        ground.host.stop()
        real, ground.host.krl = ground.host.krl, other
        try:
            ground.host.start()
            with pytest.raises(Unreachable, match="does not keep the list"):
                connector.provision(spec)
            assert not ground.names()
            assert not connector.health().ok
            assert "RevokedKeys must name the list" in connector.health().detail
        finally:
            ground.host.stop()
            ground.host.krl = real
            config.write_text(text)
            ground.host.start()

    def test_refuses_a_role_that_the_host_does_not_know(self, ground, connector):
        spec = replace(ground.spec(), role_config=role(principals=["db-root"]))
        with pytest.raises(ShutOut, match="with the principal db-root"):
            connector.provision(spec)
        assert not ground.names()


class TestHostKeys:
    def test_a_host_certified_by_another_authority_is_refused(self, ground):
        with closing(ground.connector(host_cas=[new_authority().public_key])) as connector:
            with pytest.raises(NotThatHost, match="web-1 is not who it should be"):
                connector.provision(ground.spec())
            assert not connector.health().ok
            assert not ground.names()

    def test_a_host_of_another_name_is_refused(self, ground):
        hosts = [{"name": "web-2", "address": "127.0.0.1", "port": ground.host.port}]
        with (
            closing(ground.connector(hosts=hosts)) as connector,
            pytest.raises(NotThatHost, match="web-2 is not who it should be"),
        ):
            connector.provision(ground.spec())

    @pytest.mark.parametrize("own", [True, False])
    def test_a_pinned_key_is_the_only_one_that_will_do(self, ground, own):
        line = ground.host.host_key if own else new_authority().public_key
        hosts = [{**ground.config()["hosts"][0], "host_keys": [line]}]
        with closing(ground.connector(hosts=hosts, host_cas=[])) as connector:
            if own:
                assert connector.health().ok
            else:
                with pytest.raises(NotThatHost):
                    connector.provision(ground.spec())


class TestRevoke:
    def test_a_host_that_takes_the_certificate_still_is_no_proof(self, ground, connector):
        spec, _credential = given(ground, connector)
        ground.host.stop()
        real, ground.host.krl = ground.host.krl, ground.host.folder / "other.krl"
        ground.host.krl.write_bytes(real.read_bytes())
        try:
            ground.host.start()
            (answer,) = connector.revoke([spec])
            assert isinstance(answer, Unreachable)
            assert "web-1 still takes certificates" in str(answer)
            assert not answer.permanent
        finally:
            ground.host.stop()
            ground.host.krl = real
            ground.host.start()
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked)

    def test_a_host_that_refuses_everything_is_no_proof(self, ground, connector):
        spec, _credential = given(ground, connector)
        ground.host.trust(new_authority())
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, ShutOut)
        ground.host.trust(ground.host.user_ca)
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked)

    def test_says_what_every_host_was_seen_to_do(self, ground, connector):
        spec, _credential = given(ground, connector)
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked)
        seen = dict(answer.evidence["hosts"]["web-1"])
        # The account may have others' programs, too: it is not ours alone on this machine.
        assert seen.pop("processes_unread") == answer.evidence["processes_unread"]
        assert len(seen.pop("unread")) <= answer.evidence["processes_unread"]
        assert seen == {
            "refused": True,
            "took_another": True,
            "looked_as": ground.host.login,
            "connections_cut": 0,
            "processes_ended": 0,
            "connections_left": 0,
            "processes_left": 0,
        }

    def test_what_a_session_left_behind_ends(self, ground, connector):
        spec, credential = given(ground, connector)
        with closing(ground.client(credential)) as rita:
            rita.ssh("setsid nohup sleep 600 >/dev/null 2>&1 </dev/null & sleep 0.2")
        (seen,) = connector.observe()
        assert (seen.live_connections, seen.detail["processes"]) == (0, 1)
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked)
        assert answer.evidence["hosts"]["web-1"]["processes_ended"] == 1
        assert connector.observe() == []

    def test_an_agent_that_runs_on_unseen_is_counted_and_named(self, ground, connector):
        spec, credential = given(ground, connector)
        with closing(ground.client(credential)) as rita:
            told = rita.ssh("ssh-agent -s").stdout
        pid = int(re.search(r"SSH_AGENT_PID=(\d+)", told)[1])
        try:
            (answer,) = connector.revoke([spec])
            assert isinstance(answer, Revoked)
            assert f"ssh-agent {pid}" in answer.evidence["hosts"]["web-1"]["unread"]
            assert answer.evidence["processes_unread"] >= 1
        finally:
            os.kill(pid, signal.SIGKILL)

    def test_what_a_session_through_the_gateway_left_behind_ends_too(self, ground, connector):
        spec, _credential = given(ground, connector, direct=False)
        private = keys.new_private_key()
        certificate = ground.host.user_ca.sign_for_gateway(
            public_key=keys.public_line(keys.read_private(private)),
            external_name=spec.external_name,
            role=SSHRole.parse(spec.role_config),
            ends_at=spec.ends_at,
            now=clock.now(),
            tag=connector.config.tag,
        )
        with closing(ground.host.client()) as gateway:
            (gateway.folder / "id").write_text(private)
            (gateway.folder / "id-cert.pub").write_text(certificate)
            gateway.ssh("setsid nohup sleep 600 >/dev/null 2>&1 </dev/null & sleep 0.2")
            (answer,) = connector.revoke([spec])
            assert isinstance(answer, Revoked)
            assert answer.evidence["processes_ended"] == 1
            assert "Permission denied" in gateway.ssh("true").stderr

    def test_what_runs_under_a_name_that_ended_is_seen_and_ended_again(self, ground, connector):
        spec, credential = given(ground, connector)
        with closing(ground.client(credential)) as rita:
            # Hides its mark from the look, as a person who wants to stay might, and shows later.
            line = f"setsid nohup env -u {scripts.MARK} sh -c 'sleep 1; exec env"
            mark = f"{scripts.MARK}={spec.external_name}@{connector.config.tag}"
            rita.ssh(f"{line} {mark} sleep 600' >/dev/null 2>&1 </dev/null &")
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked)
        assert until(lambda: len(connector.observe()) == 1)
        (seen,) = connector.observe()
        assert (seen.external_name, seen.usable) == (spec.external_name, True)
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked)
        assert connector.observe() == []


class TestExtend:
    def test_the_next_certificate_ends_later_and_the_old_one_when_it_did(self, ground, connector):
        spec, old = given(ground, connector)
        later = replace(spec, ends_at=spec.ends_at + dt.timedelta(minutes=5))
        connector.extend(later)
        assert certificates.read(old["certificate"]).valid_before <= spec.ends_at
        new = connector.provision(later).credential
        found = certificates.read(new["certificate"])
        assert spec.ends_at < found.valid_before <= later.ends_at
        assert not ground.lets_in(old)
        assert ground.lets_in(new)


class TestHealth:
    def test_notices_that_the_list_is_gone_and_puts_it_back(self, ground, connector):
        connector.ledger.ensure()
        ground.krl.unlink()
        assert connector.health().ok
        assert ground.krl.exists()

    def test_says_what_to_look_at_when_we_are_shut_out(self, ground, connector):
        ground.host.allow("web-operator")
        health = connector.health()
        assert not health.ok
        assert f"with the principal {OBSERVER}" in health.detail

    def test_measures_the_hosts_clock(self, ground, connector):
        assert abs(connector.health().skew_seconds) < 1

    def test_says_that_the_key_of_the_authority_is_missing(self, ground):
        with closing(ground.connector(ca="env:JIT_TARGET_NONE")) as connector:
            assert "JIT_TARGET_NONE is not set" in connector.health().detail


class TestCheckRole:
    @pytest.mark.parametrize(
        ("config", "why"),
        [
            ({}, "principals"),
            ({"principals": []}, "principals"),
            (role(shell=False), "can't be told apart by a certificate"),
            (role(shell=False, exec=False, sftp=False), "allows nothing"),
            (role(login="Root!"), "login"),
            (role(sudo=True), "sudo"),
        ],
    )
    def test_refuses_what_can_not_work(self, connector, config, why):
        connector.check_role(role())
        connector.check_role(role(shell=False, direct=False))
        with pytest.raises(InvalidConfig, match=why):
            connector.check_role(config)


class TestLedger:
    def test_entries_go_once_their_certificates_expired_for_sure(self, ground, connector):
        spec, _credential = given(ground, connector)
        connector.revoke([spec])
        path = Path(f"{ground.krl}.ledger")
        plain = json.loads(path.read_text())
        entry = plain["entries"][spec.external_name]
        assert spec.external_name in ground.refused()
        entry["deadline"] = (spec.ends_at - dt.timedelta(hours=2)).isoformat()
        path.write_text(json.dumps(plain))
        given(ground, connector)
        assert spec.external_name not in ground.entries()
        assert spec.external_name not in ground.refused()

    def test_what_can_not_be_read_stops_everything(self, ground, connector):
        path = Path(f"{ground.krl}.ledger")
        path.write_text("{")
        with pytest.raises(Unreachable, match="can't be read"):
            connector.provision(ground.spec())
        assert not connector.health().ok
        path.unlink()

    def test_a_newer_generation_is_not_taken_over(self, ground, connector):
        spec = ground.spec()
        connector.provision(replace(spec, generation=2))
        with pytest.raises(Refused, match="newer generation"):
            connector.provision(spec)
