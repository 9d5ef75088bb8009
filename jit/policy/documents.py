"""Policy files as YAML, read strictly, remembering where everything stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]
_WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value begins in its file, counting from 1."""

    line: int
    column: int


class Unreadable(ValueError):
    """The file is not the YAML that policies are written in."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True)
class Document:
    """The content of a file and the place of every path in it."""

    content: Any
    places: dict[Path, Place]

    def place(self, path: Path) -> Place:
        """Return the place of `path`, or of the nearest thing that holds it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, 1))


def read(text: str) -> Document:
    """Return what the YAML says: texts, whole numbers, true, false, null, lists and maps.

    Raises Unreadable for a syntax error, a key given twice (YAML would keep the last), an
    alias or a tag, for more than one document, and for one nested too deeply to be read.
    """
    try:
        return _read(text)
    except RecursionError:
        raise Unreadable("nested too deeply to be read", Place(1, 1)) from None


def _read(text: str) -> Document:
    places: dict[Path, Place] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        raise Unreadable(str(error.problem or error.context), place) from error
    except yaml.YAMLError as error:
        raise Unreadable(str(error), Place(1, 1)) from error
    seen: set[int] = set()
    return Document(_content(node, (), places, seen), places)


def _content(node: Any, path: Path, places: dict[Path, Place], seen: set[int]) -> Any:
    if node is None:
        return None
    places[path] = _start(node)
    if id(node) in seen:
        raise Unreadable("aliases are not allowed: write it out", places[path])
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        return {
            key: _content(value, (*path, key), places, seen) for key, value in _pairs(node, path)
        }
    if isinstance(node, yaml.SequenceNode):
        return [
            _content(item, (*path, index), places, seen) for index, item in enumerate(node.value)
        ]
    return _scalar(node)


def _pairs(node: Any, path: Path) -> Iterator[tuple[str, Any]]:
    keys: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
            raise Unreadable("a key is a plain text", _start(key))
        if key.value in keys:
            where = ".".join(map(str, path)) or "the file"
            raise Unreadable(f"{key.value!r} is given twice in {where}", _start(key))
        keys.add(key.value)
        yield key.value, value


def _scalar(node: Any) -> Any:
    """Return the scalar by YAML 1.2's rules: `no` and `12:30` stay texts."""
    if node.style is not None:
        return node.value
    if node.value in _WORDS:
        return _WORDS[node.value]
    if _WHOLE_NUMBER.fullmatch(node.value):
        return int(node.value)
    return node.value


def _start(node: Any) -> Place:
    """Return where the text itself begins: after a quote, or on the line after a `|`."""
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    style = getattr(node, "style", None)
    if isinstance(node, yaml.ScalarNode) and style in {"'", '"'}:
        return Place(line, column + 1)
    if isinstance(node, yaml.ScalarNode) and style in {"|", ">"}:
        buffer = str(node.start_mark.buffer or "")
        _, _, body = buffer[node.start_mark.pointer :].partition("\n")
        return Place(line + 1, len(body) - len(body.lstrip(" ")) + 1)
    return Place(line, column)
