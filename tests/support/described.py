"""Holds every answer of the REST interface against docs/openapi.yaml, in every test.

What the document promises and what is sent are written in two places (shapes and the dicts beside
them): here they meet. An answer may hold no field that the document doesn't name, and what was
taken with a 2xx must be what the document lets one send.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import Resolver404
from openapi_schema_validator import OAS31Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.yaml"
_HERE = "urn:jit:openapi"
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_OPEN = frozenset({"ProblemOut"})
"""Where RFC 9457 lets further fields be."""


class NotAsDescribed(AssertionError):
    """The interface and its description say different things."""


@functools.cache
def _document() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: dict[str, Any] = yaml.load(DOCUMENT.read_text(encoding="utf-8"), loader)
    for name, schema in found["components"]["schemas"].items():
        if name.endswith("Out") and name not in _OPEN and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return found


@functools.cache
def _validator(*place: str) -> Any:
    """Return the validator of the schema that stands at `place` in the document."""
    pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in place)
    resource = DRAFT202012.create_resource(_document())
    return OAS31Validator(
        {"$ref": f"{_HERE}#/{pointer}"},
        registry=Registry().with_resource(_HERE, resource),
        format_checker=OAS31Validator.FORMAT_CHECKER,
    )


def check(request: dict[str, Any], body: bytes, answer: Any) -> None:
    """Raise NotAsDescribed if the answer, or a body that was taken, is not as described."""
    try:
        route = answer.resolver_match.route
    except Resolver404:
        return
    method = request["REQUEST_METHOD"].lower()
    if not route.startswith("api/v1/") or method in ("head", "options"):
        return
    path = "/" + _PARAMETER.sub(r"{\1}", route)
    operation = _document()["paths"].get(path, {}).get(method)
    if operation is None:  # the address of the document itself, or a method that nobody has
        if "problem+json" in answer.get("Content-Type", ""):
            _fits(("components", "schemas", "ProblemOut"), answer, f"{method} {path}")
        return
    what = f"{method.upper()} {path} answered {answer.status_code}"
    described = operation["responses"].get(str(answer.status_code))
    if described is None:
        raise NotAsDescribed(f"{what}, of which its description says nothing")
    at: tuple[str, ...] = ("paths", path, method, "responses", str(answer.status_code))
    if "$ref" in described:
        at = tuple(described["$ref"].removeprefix("#/").split("/"))
        described = _document()["components"]["responses"][at[-1]]
    kind = answer.get("Content-Type", "").partition(";")[0]
    kinds = described.get("content", {})
    if kind not in kinds and (kinds or (not answer.streaming and answer.content)):
        raise NotAsDescribed(f"{what} as {kind!r}; described are {sorted(kinds)}")
    if kind in kinds and kind.endswith("json") and not answer.streaming:
        _fits((*at, "content", kind, "schema"), answer, what)
    if answer.status_code < 300 and "requestBody" in operation and body:
        _taken(("paths", path, method, "requestBody", "content", "application/json"), body, what)


def _fits(place: tuple[str, ...], answer: Any, what: str) -> None:
    sent = json.loads(answer.content)
    _without_error(place, sent, what)
    if "problem" in answer["Content-Type"] and sent["status"] != answer.status_code:
        raise NotAsDescribed(f"{what}, its body says {sent['status']}")


def _taken(place: tuple[str, ...], body: bytes, what: str) -> None:
    _without_error((*place, "schema"), json.loads(body), f"{what}, and took a body that")


def _without_error(place: tuple[str, ...], value: Any, what: str) -> None:
    for error in _validator(*place).iter_errors(value):
        at = "/".join(str(part) for part in error.absolute_path)
        raise NotAsDescribed(f"{what}, not as described: at {at!r}, {error.message[:500]}")


@contextmanager
def everywhere() -> Iterator[None]:
    """Check the answers that Django's test client gets meanwhile."""
    whole = Client.generic

    def checked(self: Client, method: str, path: str, data: Any = "", *more: Any, **kw: Any) -> Any:
        answer = whole(self, method, path, data, *more, **kw)
        body = data if isinstance(data, bytes) else str(data).encode()
        check({"REQUEST_METHOD": method}, body, answer)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "generic", checked)
        yield
