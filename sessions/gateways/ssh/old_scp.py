"""The command that `scp -O` has the host run, recognised only in the very form that scp sends.

A command that is more than that is recorded as any other. So nothing in it may mean anything to
a shell: what counts is not that it begins like scp, but that it can be nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

# scp.c (OpenSSH), pscp.c (PuTTY): `scp -v -r -p -d -t PATH`, with `--` before a path that begins
# with a dash. libssh2 joins the letters and quotes the path, asyncssh puts the mode first.
_FORM = re.compile(
    r"scp(?P<options>(?: -[vrpdq]+)* -[vrpdq]*[tf](?: -[vrpdq]+)*) (?P<dashes>-- )?"
    r"(?:'(?P<single>[^'\x00-\x1f\x7f]+)'"
    r"|\"(?P<double>[^\"$`\\!\x00-\x1f\x7f]+)\""
    r"|(?P<plain>[^\s\x00-\x1f\x7f;&|<>()$`\"'\\!#]+))"
)
_GLOB = re.compile(r"[*?\[{]")
_FOLDERS = {"", ".", "..", "~"}


@dataclass(frozen=True, slots=True)
class OldScp:
    """One transfer: which end sends, and the path on the host that was named."""

    person_sends: bool
    path: str
    into_folder: bool
    """Whether `path` can only be a folder, into which things are put."""
    pattern: bool
    """Whether `path` is a pattern, from which the host's shell makes names."""

    @classmethod
    def of(cls, command: str) -> OldScp | None:
        """Return what this command transfers, or None if it may do anything else."""
        found = _FORM.fullmatch(command)
        if found is None:
            return None
        path = found["single"] or found["double"] or found["plain"]
        if path.startswith("-") and not found["dashes"]:
            return None
        return cls(
            person_sends="t" in found["options"],
            path=path,
            into_folder="d" in found["options"] or path.rpartition("/")[2] in _FOLDERS,
            pattern=bool(found["plain"] and _GLOB.search(path)),
        )

    def places(self, names: list[str]) -> dict[str, str]:
        """Return where on the host the file is that was announced under `names`, its folders
        first. An upload to what only the host knows to be a folder or not may be at either.
        """
        base = PurePosixPath(self.path)
        if self.person_sends:
            inside = str(base.joinpath(*names))
            if self.into_folder:
                return {"path": inside}
            return {"path": str(base.joinpath(*names[1:])), "or_path": inside}
        if not self.pattern:
            return {"path": str(base.joinpath(*names[1:]))}
        if _GLOB.search(str(base.parent)):
            return {"path": "/".join(names), "of": self.path}
        return {"path": str(base.parent.joinpath(*names))}
