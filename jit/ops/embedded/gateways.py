"""Where the embedded installation's gateways listen; the ports stay the same over restarts."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from jit.ops.embedded import ground
from jit.ops.embedded.keys import Keys

HOST = "127.0.0.1"
USUAL = {"postgresql": 6432, "ssh": 2222}
"""The port of each kind of gateway, unless something else has it on the first start."""


class Gateways:
    """The addresses of one data folder's gateways."""

    def __init__(self, data: Path, keys: Keys) -> None:
        self._data = data
        self._keys = keys
        self._ports: dict[str, int] = {}

    @property
    def kinds(self) -> list[str]:
        return sorted(USUAL)

    def port(self, kind: str) -> int:
        """Return the port: JIT_SSH_GATEWAY_PORT (and so on), that of the last start, or a free
        one, the usual one if it is.
        """
        if kind not in self._ports:
            kept = self._data / f"{kind}-gateway.port"
            wanted = os.environ.get(f"JIT_{kind.upper()}_GATEWAY_PORT", "")
            if wanted.isdecimal():
                self._ports[kind] = int(wanted)
            elif kept.exists():
                self._ports[kind] = int(kept.read_text(encoding="ascii"))
            else:
                usual = USUAL[kind]
                self._ports[kind] = usual if _is_free(usual) else ground.free_port()
                kept.write_text(str(self._ports[kind]), encoding="ascii")
        return self._ports[kind]

    def environment(self) -> dict[str, str]:
        """Return what tells all programs where the gateways are."""
        told = {"JIT_SSH_GATEWAY_KEYS": str(self._keys.ssh_gateway_key())}
        for kind in self.kinds:
            address = f"{HOST}:{self.port(kind)}"
            told[f"JIT_{kind.upper()}_GATEWAY"] = address
            told[f"JIT_{kind.upper()}_GATEWAY_LISTEN"] = address
        return told


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
