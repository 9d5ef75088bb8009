"""What a person asks of a channel: a shell, a command, a file transfer; and whether they may."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jit.connectors.ssh.config import SSHRole
from jit.kernel.errors import NotAllowed
from sessions.gateways.ssh.old_scp import OldScp

type TermSize = tuple[int, int, int, int]
"""Columns, rows, and the width and height in pixels."""
_PASSED_ON = ("LANG", "LC_", "COLORTERM", "TZ")
_LONGEST_VALUE = 200
# What mosh has ssh start, alone or within `sh -c`. It is how mosh says what it is about to do;
# that nobody starts such a program otherwise is for the host's firewall to see to.
_MOSH = re.compile(r"\bmosh-server\s+new\b")


class NotOfThisRole(NotAllowed):
    """The role does not give this kind of use."""


class PastTheGateway(NotAllowed):
    """What was asked for would go on beside the gateway, where nothing records or ends it."""


@dataclass(slots=True)
class Asked:
    """`kind` is shell, exec, subsystem or forwards; `size` is (columns, rows, width, height in
    pixels) where a terminal was asked for.
    """

    kind: str = "shell"
    command: str = ""
    term: str | None = None
    size: TermSize | None = None
    modes: Mapping[int, int] = field(default_factory=dict)

    def terminal(self, term: str, size: TermSize, modes: Mapping[int, int]) -> None:
        self.term, self.size, self.modes = term, size, dict(modes)

    @property
    def is_sftp(self) -> bool:
        """Whether the host's file server is asked for; whoever adds a terminal wants to see it."""
        return self.kind == "subsystem" and self.command == "sftp" and self.size is None

    @property
    def old_scp(self) -> OldScp | None:
        """What the old protocol of scp (`scp -O`) is asked for, where it is that and no more."""
        if self.kind != "exec" or self.size is not None:
            return None
        return OldScp.of(self.command)

    def fact(self) -> dict[str, Any]:
        """Return what the recording says of it; a command's text is exact by protocol."""
        marks = {} if self.size is None else {"entered": "marked"}
        if self.kind == "exec":
            return {"kind": "command", "tier": "protocol", "text": self.command, **marks}
        return {"kind": "opened", "what": self.command or self.kind, **marks}


def refuse_unless_allowed(asked: Asked, role: SSHRole) -> None:
    """Raise NotOfThisRole for what the role does not give, PastTheGateway for mosh."""
    files = asked.is_sftp or asked.old_scp is not None
    if files and not role.sftp:
        raise NotOfThisRole("Your role does not give file transfers (scp, sftp) here.")
    if asked.kind == "subsystem" and not asked.is_sftp:
        terminal = " with a terminal" if asked.size is not None else ""
        raise NotOfThisRole(
            f"There is no subsystem {asked.command[:80]!r}{terminal} through this gateway."
        )
    if asked.kind == "exec" and not (role.exec or files):
        raise NotOfThisRole("Your role gives a shell, not single commands: leave the command out.")
    if asked.kind == "exec" and _MOSH.search(asked.command):
        raise PastTheGateway(
            "mosh talks to the host over UDP, past this gateway, where nothing is recorded. "
            "Use ssh; the web terminal survives a change of networks, too."
        )
    if asked.kind == "shell" and not role.shell:
        given = "single commands" if role.exec else "file transfers and forwards"
        raise NotOfThisRole(f"Your role gives no shell here, only {given}.")


def environment(channel: Any) -> dict[bytes | str, bytes | str]:
    """Return what of the person's environment is passed on: language and colours."""
    if channel is None:
        return {}
    return {
        name: value
        for name, value in channel.get_environment().items()
        if name.startswith(_PASSED_ON) and len(value) <= _LONGEST_VALUE
    }
