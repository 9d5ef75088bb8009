"""What a person asks of a channel: a shell, a command, a file transfer; and whether they may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jit.connectors.ssh.config import SSHRole
from jit.kernel.errors import NotAllowed

type TermSize = tuple[int, int, int, int]
"""Columns, rows, and the width and height in pixels."""
_PASSED_ON = ("LANG", "LC_", "COLORTERM", "TZ")
_LONGEST_VALUE = 200


class NotOfThisRole(NotAllowed):
    """The role does not give this kind of use."""


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
        return self.kind == "subsystem" and self.command == "sftp"

    @property
    def is_scp(self) -> bool:
        """Whether this is the old protocol of scp (`scp -O`)."""
        words = self.command.split()
        return (
            self.kind == "exec"
            and len(words) > 2  # noqa: PLR2004 -- scp, its options, a path
            and words[0].rpartition("/")[2] == "scp"
            and any(word.startswith("-") and set(word) & {"t", "f"} for word in words[1:-1])
        )

    def fact(self) -> dict[str, Any]:
        """Return what the recording says of it; a command's text is exact by protocol."""
        if self.kind == "exec":
            return {"kind": "command", "tier": "protocol", "text": self.command}
        return {"kind": "opened", "what": self.command or self.kind}


def refuse_unless_allowed(asked: Asked, role: SSHRole) -> None:
    """Raise NotOfThisRole for what the role does not give."""
    files = asked.is_sftp or asked.is_scp
    if files and not role.sftp:
        raise NotOfThisRole("Your role does not give file transfers (scp, sftp) here.")
    if asked.kind == "subsystem" and not asked.is_sftp:
        raise NotOfThisRole(f"There is no subsystem {asked.command[:80]!r} through this gateway.")
    if asked.kind == "exec" and not (role.exec or files):
        raise NotOfThisRole("Your role gives a shell, not single commands: leave the command out.")
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
