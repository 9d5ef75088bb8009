"""The catalogue as it is written down: what a YAML file of targets and roles may hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from jit.kernel.errors import InvalidInput

LARGEST_FILE = 5_000_000
_DURATION = re.compile(r"([1-9][0-9]{0,6})\s*([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SHORTEST_DURATION, LONGEST_DURATION = 10, 31 * 86400


class CatalogInvalid(InvalidInput):
    """The files can't be taken as they are; `fields` names each place and what is wrong."""

    title = "The catalogue can't be loaded"


def _seconds(value: object) -> object:
    """Return `90m` as 5400; whole seconds pass as they are."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return int(match[1]) * _SECONDS[match[2]]
    return value


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")]
Short = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00\n]*$")]
Duration = Annotated[
    int,
    BeforeValidator(_seconds),
    Field(strict=True, ge=SHORTEST_DURATION, le=LONGEST_DURATION),
]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class TargetEntry(_Entry):
    slug: Slug
    name: Annotated[Short, Field(min_length=1, max_length=200)]
    kind: Annotated[Short, Field(min_length=1, max_length=40)]
    env: Annotated[Short, Field(min_length=1, max_length=40)] = "prod"
    team: Annotated[Short, Field(max_length=100)] = ""
    config: dict[str, Any] = {}
    enabled: bool = True


class RoleEntry(_Entry):
    """`owner` is the slug of a group; `max_duration` is seconds, or a number with s, m, h, d."""

    slug: Slug
    target: Slug
    name: Annotated[Short, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")] = ""
    risk: Literal["low", "medium", "high", "critical"]
    owner: Annotated[Short, Field(min_length=1, max_length=100)]
    max_duration: Duration
    config: dict[str, Any] = {}
    tags: dict[str, str] = {}
    enabled: bool = True


class CatalogFile(_Entry):
    targets: tuple[TargetEntry, ...] = ()
    roles: tuple[RoleEntry, ...] = ()


class _Loader(yaml.SafeLoader):
    """YAML without a second meaning: a key given twice is a mistake, not the last one's win;
    an alias would let a small file grow without bounds.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call] # untyped in the stubs
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def files_in(paths: list[Path]) -> list[Path]:
    """Return the files themselves and the `*.yaml` and `*.yml` of folders, in order.

    Raises CatalogInvalid for a path that is not there, or a folder that holds none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*.y*ml") if file.is_file())
        else:
            inside = [path] if path.is_file() else []
        if not inside:
            raise CatalogInvalid(f"There is no YAML file at {path}.")
        found += inside
    return found


def plain(path: Path) -> Any:
    """Return what the YAML file says, in plain values. Raises CatalogInvalid."""
    try:
        content = path.read_bytes()
        if len(content) > LARGEST_FILE:
            raise CatalogInvalid(f"{path} is larger than {LARGEST_FILE} bytes.")
        return yaml.load(content.decode(), Loader=_Loader) or {}  # noqa: S506 -- a SafeLoader, made stricter
    except OSError as unreadable:
        raise CatalogInvalid(f"{path} can't be read: {unreadable.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError, TypeError) as malformed:
        mark = getattr(malformed, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        what = getattr(malformed, "problem", None) or type(malformed).__name__
        raise CatalogInvalid(f"{where} is no YAML that can be taken: {what}.") from None
