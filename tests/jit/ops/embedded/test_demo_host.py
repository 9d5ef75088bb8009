"""The demo's host: sshd where there is one, and a stand-in that keeps the same promises."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jit.connectors.base import Context, GrantSpec, Revoked
from jit.connectors.ssh import SSH, certificates
from jit.connectors.ssh.config import SSHConfig
from jit.kernel import clock
from jit.ops.demo import host as seeded
from jit.ops.embedded import demo_host
from jit.ops.embedded.demo_host import DemoHost
from tests.contracts.ground import until
from tests.support.sshd import Client


@pytest.fixture(params=["sshd", "stand-in"])
def host(request, tmp_path, monkeypatch) -> Iterator[DemoHost]:
    if request.param == "stand-in":
        monkeypatch.setattr(demo_host, "real_sshd", lambda: None)
    (tmp_path / "keys").mkdir()
    made = DemoHost(data=tmp_path, web_port=8000, log=tmp_path / "log")
    made.start()
    monkeypatch.setenv("JIT_DEMO_HOST", made.environment["JIT_DEMO_HOST"])
    yield made
    made.stop()
    shutil.rmtree(made.folder, ignore_errors=True)


def connector() -> SSH:
    (target,) = seeded.targets()
    return SSH(SSHConfig.parse(target["config"]), Context())


def spec(number: int = 1) -> GrantSpec:

    role = next(each for each in seeded.roles() if each["slug"] == "web-1-operator")
    return GrantSpec(
        grant_id=f"{number:032x}",
        external_name=f"jit_{number:032x}",
        principal="rita",
        role_config=role["config"],
        ends_at=clock.now() + dt.timedelta(minutes=5),
    )


def client(credential) -> Client:
    return Client(
        private_key=credential["private_key"],
        certificate=credential["certificate"],
        login=credential["user"],
        host=credential["host"],
        port=int(credential["port"]),
        alias="web-1",
        known_hosts=credential["known_hosts"],
    )


class TestDemoHost:
    def test_says_what_it_is_and_whom_its_visitors_become(self, host):
        with closing(connector()) as ssh:
            issued = ssh.provision(spec())
        with closing(client(issued.credential)) as rita:
            done = rita.ssh("id -un")
            assert done.stdout.strip() == host.login
            assert host.who() in done.stderr
            assert ("not sshd" in done.stderr) is not host.is_real
            assert f"become the unprivileged account {host.login}" in host.who() or (
                "become YOU" in host.who()
            )

    def test_gives_and_takes_back_with_proof(self, host):
        with closing(connector()) as ssh:
            health = ssh.health()
            assert health.ok, health
            given = spec()
            credential = ssh.provision(given).credential
            with closing(client(credential)) as rita:
                assert "/dev/pts/" in rita.ssh("tty", options=["-tt"]).stdout
                assert rita.ssh("exit 7").returncode == 7
                assert rita.ssh("cat", input="as it was").stdout == "as it was"
                assert rita.scp("/etc/hostname", ":/tmp/jit-demo-host").returncode == 0
                assert rita.ssh("rm /tmp/jit-demo-host").returncode == 0
                shell = rita.open("cat")
                assert until(lambda: ssh.observe()[0].detail["processes"] > 0)
                (answer,) = ssh.revoke([given])
                assert isinstance(answer, Revoked), answer
                assert shell.wait(10) != 0
                shell.communicate()
                assert "Permission denied" in rita.ssh("true").stderr
            assert ssh.observe() == []

    def test_forwards_nothing_without_leave(self, host):
        with closing(connector()) as ssh:
            credential = ssh.provision(spec()).credential
        with closing(client(credential)) as rita:
            done = rita.ssh(options=["-W", f"127.0.0.1:{host.port}"])
            assert "prohibited" in done.stderr or "forwarding" in done.stderr, done.stderr

    def test_lets_its_visitors_change_none_of_its_files(self, host):
        if host.folder == host.data / "demo-host":
            assert "become YOU" in host.who()
            return
        with closing(connector()) as ssh:
            credential = ssh.provision(spec()).credential
        with closing(client(credential)) as rita:
            for name in ("web-1.krl", "principals", "user-ca.pub"):
                assert rita.ssh(f"echo >> {host.folder}/{name}").returncode != 0
            assert rita.ssh(f"rm {host.folder}/web-1.krl").returncode != 0

    def test_keeps_its_keys_and_port_over_a_start(self, host):
        port, certificate = host.port, (host.folder / "host-cert.pub").read_text()
        host.stop()
        host.start()
        assert host.port == port
        assert (host.folder / "host-cert.pub").read_text() == certificate
        assert certificates.read(certificate).principals == ("web-1",)
        assert json.loads(host.environment["JIT_DEMO_HOST"])["port"] == port
        assert Path(f"{host.folder}/web-1.krl").exists()
