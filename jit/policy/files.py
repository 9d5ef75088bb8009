"""Policy files on disk."""

from __future__ import annotations

from pathlib import Path

from jit.kernel.errors import InvalidInput


class NoPolicyFiles(InvalidInput):
    """The folder is not there, or holds no policy file."""


def read_folder(folder: Path) -> dict[str, str]:
    """Return the `.yaml` and `.yml` files below `folder`, by their relative names.

    Hidden ones are left out. Raises NoPolicyFiles for a missing or empty folder and for a
    file that is not UTF-8.
    """
    found = {}
    for path in sorted(folder.rglob("*.y*ml")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.suffix not in {".yaml", ".yml"} or hidden or not path.is_file():
            continue
        try:
            found[name.as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise NoPolicyFiles(f"{path} is not UTF-8 text; save it as such.") from error
    if not found:
        raise NoPolicyFiles(f"There are no policy files in {folder}; put a .yaml file there.")
    return found
