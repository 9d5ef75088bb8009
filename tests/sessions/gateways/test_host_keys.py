"""Who answers at the SSH gateway's address, told before anybody types a password there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import asyncssh
import pytest
from django.conf import LazySettings

from sessions.gateways.ssh import host_keys, offer


@pytest.fixture
def key(settings: LazySettings, tmp_path: Path) -> Path:
    file = tmp_path / "host_key.pub"
    file.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_public_key())
    settings.SSH_GATEWAY_PUBLIC_KEYS = [file.read_text().strip()]
    return file


class TestKnownHosts:
    @pytest.mark.parametrize(("port", "name"), [(2222, "[gw.example]:2222"), (22, "gw.example")])
    def test_is_a_line_by_which_ssh_knows_the_gateway(
        self, key: Path, tmp_path: Path, port: int, name: str
    ) -> None:
        lines = tmp_path / "known_hosts"
        lines.write_text("\n".join(host_keys.known_hosts("gw.example", port)) + "\n")
        found = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", lines], capture_output=True, text=True, check=True
        )
        assert key.read_text().split()[1] in found.stdout


class TestKnownBy:
    def test_tells_the_fingerprint_that_ssh_asks_about(self, key: Path) -> None:
        said = subprocess.run(
            ["ssh-keygen", "-l", "-f", key], capture_output=True, text=True, check=True
        )
        assert offer._known_by("gw.example", 2222)["host_key"] in said.stdout

    def test_a_key_that_cant_be_read_costs_nobody_the_credential(
        self, settings: LazySettings, tmp_path: Path
    ) -> None:
        settings.SSH_GATEWAY_PUBLIC_KEYS = []
        settings.SSH_GATEWAY_KEYS = [str(tmp_path / "nowhere")]
        assert offer._known_by("gw.example", 2222) == {}
