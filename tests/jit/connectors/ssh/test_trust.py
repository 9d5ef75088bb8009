"""What is printed for hosts works on one: its files, its configuration, its fetch of the list."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from jit.connectors.ssh import keys, krl, trust
from jit.connectors.ssh.config import SSHConfig, SSHRole
from jit.kernel import clock
from tests.support.sshd import SSHD, new_authority

CA = new_authority()
ROLES = {
    "web-1-operator": SSHRole(principals=("web-1-operator",), login="deploy"),
    "web-1-root": SSHRole(principals=("web-1-root", "on-call"), login="root"),
}


def config(**changes) -> SSHConfig:
    return SSHConfig.parse(
        {
            "hosts": [{"name": "web-1"}],
            "ca": "env:JIT_TARGET_CA",
            "host_cas": [CA.public_key],
            "krl": "/srv/jit/web-1.krl",
            "observer": {"login": "jit-observer"},
            **changes,
        }
    )


def told(url: str = "https://jit.example/ssh/krl/web-1", roles=ROLES, **changes) -> str:
    return trust.told(
        slug="web-1", config=config(**changes), ca=CA.public_key, roles=roles, url=url
    )


def carried_out(text: str, root: Path) -> None:
    """Run what was printed, with this folder as the host's root."""
    there = re.sub(r"(?<![\w.])/(etc|usr/local)/", rf"{root}/\1/", text)
    there = "\n".join(line for line in there.splitlines() if "systemctl" not in line)
    done = subprocess.run(["sh", "-eu"], check=False, input=there, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TestTold:
    def test_puts_every_file_in_place_and_sshd_takes_them(self, tmp_path):
        carried_out(told(), tmp_path)
        jit = tmp_path / "etc/ssh/jit"
        assert (jit / "user-ca.pub").read_text() == f"{CA.public_key}\n"
        assert (jit / "principals/deploy").read_text() == "web-1-operator\n"
        assert (jit / "principals/root").read_text() == "web-1-root\non-call\n"
        assert (jit / "principals/jit-observer").read_text() == "jit-observer\n"
        key = keys.new_private_key()
        own = tmp_path / "etc/ssh/ssh_host_ed25519_key"
        own.write_text(key)
        own.chmod(0o600)
        Path(f"{own}-cert.pub").write_text(
            CA.sign_host(
                public_key=keys.public_line(keys.read_private(key)),
                names=["web-1"],
                now=clock.now(),
            )
        )
        main = tmp_path / "etc/ssh/sshd_config"
        main.write_text(f"HostKey {own}\nInclude {tmp_path}/etc/ssh/sshd_config.d/*.conf\n")
        done = subprocess.run(
            [SSHD, "-T", "-f", main, "-C", "user=root,host=h,addr=1.2.3.4"],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        for line in (
            f"trustedusercakeys {jit}/user-ca.pub",
            f"revokedkeys {jit}/web-1.krl",
            "passwordauthentication no",
            "allowagentforwarding no",
            "authorizedkeysfile none",
        ):
            assert line in done.stdout

    def test_names_all_authorities_during_a_rotation(self):
        old = new_authority().public_key
        assert f"{CA.public_key}\n{old}\n" in told(retired_cas=[old])

    def test_leaves_agents_alone_where_a_role_forwards_them(self):
        roles = {"it": SSHRole(principals=("it",), login="deploy", agent_forwarding=True)}
        assert "AllowAgentForwarding" not in told(roles=roles)

    def test_says_what_ends_left_over_processes_and_for_whom(self):
        assert "KillUserProcesses=yes\nKillOnlyUsers=deploy jit-observer root\n" in told()


class TestRefresh:
    @pytest.fixture
    def served(self, tmp_path) -> Path:
        return tmp_path / "served.krl"

    @pytest.fixture
    def fetch(self, tmp_path, served):
        carried_out(told(url=f"file://{served}", krl_refresh=15), tmp_path)
        script = tmp_path / "usr/local/sbin/jit-krl-web-1"

        def fetch() -> bool:
            return subprocess.run([script], check=False, capture_output=True).returncode == 0

        return fetch

    @pytest.fixture
    def here(self, tmp_path) -> Path:
        return tmp_path / "etc/ssh/jit/web-1.krl"

    def test_takes_the_list_and_a_newer_one(self, served, fetch, here):
        for version in (5, 6, 16**4):
            served.write_bytes(krl.written(krl.Krl(version, 0, frozenset({f"jit_{version}"}))))
            assert fetch()
            assert krl.read(here.read_bytes()).version == version

    @pytest.mark.parametrize(
        "content",
        [b"", b"<html>503</html>", krl.written(krl.Krl(4, 0)), krl.written(krl.Krl(9, 0))[:40]],
        ids=["nothing", "an error page", "an older one", "half of one"],
    )
    def test_keeps_the_old_list_rather_than_take(self, served, fetch, here, content):
        served.write_bytes(krl.written(krl.Krl(5, 0)))
        assert fetch()
        served.write_bytes(content)
        assert not fetch()
        assert krl.read(here.read_bytes()).version == 5
        assert list(here.parent.glob("*.krl.*")) == []
