"""Where the embedded installation's gateways listen; the ports stay the same over restarts."""

from __future__ import annotations

import os
from pathlib import Path

from jit.ops.embedded import ground
from jit.ops.embedded.keys import Keys

HOST = "127.0.0.1"
USUAL = {"postgresql": 6432, "ssh": 2222}
"""The port of each kind of gateway, unless something else has it."""


class Gateways:
    """The addresses of one data folder's gateways."""

    def __init__(self, data: Path, keys: Keys) -> None:
        self._data = data
        self._keys = keys
        self._ports: dict[str, int] = {}
        self.moved: dict[str, tuple[int, int]] = {}
        """The ports of the last start and of this one, where they differ."""

    @property
    def kinds(self) -> list[str]:
        return sorted(USUAL)

    def port(self, kind: str) -> int:
        """Return the port: JIT_SSH_GATEWAY_PORT (and so on), that of the last start, or the usual
        one; another where that is taken. Nobody else is given it while this process lives.
        """
        if kind not in self._ports:
            wanted = os.environ.get(f"JIT_{kind.upper()}_GATEWAY_PORT", "")
            self._ports[kind] = int(wanted) if wanted.isdecimal() else self._kept(kind)
        return self._ports[kind]

    def _kept(self, kind: str) -> int:
        file = self._data / f"{kind}-gateway.port"
        last = int(file.read_text(encoding="ascii")) if file.exists() else 0
        port = ground.free_port(last or USUAL[kind])
        if port != last:
            file.write_text(str(port), encoding="ascii")
        if last and port != last:
            self.moved[kind] = (last, port)
        return port

    def environment(self) -> dict[str, str]:
        """Return what tells all programs where the gateways are."""
        told = {"JIT_SSH_GATEWAY_KEYS": str(self._keys.ssh_gateway_key())}
        for kind in self.kinds:
            address = f"{HOST}:{self.port(kind)}"
            told[f"JIT_{kind.upper()}_GATEWAY"] = address
            told[f"JIT_{kind.upper()}_GATEWAY_LISTEN"] = address
        return told
