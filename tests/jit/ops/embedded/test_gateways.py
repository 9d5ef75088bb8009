"""Where the embedded gateways listen: two installations never at one port."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jit.ops.embedded import gateways, ground
from jit.ops.embedded.gateways import Gateways
from jit.ops.embedded.keys import Keys
from tests.support.processes import ROOT


@pytest.fixture(autouse=True)
def _usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JIT_SSH_GATEWAY_PORT", raising=False)
    monkeypatch.setitem(gateways.USUAL, "ssh", ground.free_port())


def of(data: Path) -> Gateways:
    data.mkdir(exist_ok=True)
    return Gateways(data, Keys(data / "keys"))


class TestPort:
    def test_is_the_usual_one_and_stays(self, tmp_path: Path) -> None:
        assert of(tmp_path).port("ssh") == of(tmp_path).port("ssh") == gateways.USUAL["ssh"]

    def test_of_two_installations_started_together_is_not_the_same(self, tmp_path: Path) -> None:
        """Neither has bound it yet: the one that came second waited for its port for ever."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            usual = free.getsockname()[1]
        start = (
            "import sys; from pathlib import Path; from jit.ops.embedded import gateways;"
            "from jit.ops.embedded.keys import Keys; data = Path(sys.argv[1]);"
            f"gateways.USUAL['ssh'] = {usual};"
            "print(gateways.Gateways(data, Keys(data / 'keys')).port('ssh'), flush=True); input()"
        )
        ports, others = [], []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            others.append(
                subprocess.Popen(
                    [sys.executable, "-c", start, str(tmp_path / name)],
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        for other in others:
            assert other.stdout
            ports.append(int(other.stdout.readline()))
        for other in others:
            other.communicate("\n", timeout=20)
        assert usual in ports
        assert len(set(ports)) == 2

    def test_of_the_last_start_is_chosen_anew_where_it_is_taken(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            last = taken.getsockname()[1]
            (tmp_path / "ssh-gateway.port").write_text(str(last))
            ours = of(tmp_path)
            port = ours.port("ssh")
        assert port != last
        assert ours.moved == {"ssh": (last, port)}
        assert of(tmp_path).port("ssh") == port
