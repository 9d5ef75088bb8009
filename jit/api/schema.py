"""The OpenAPI document: what is the same for every address is said here once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from jit.api import links
from jit.api.fields import NO_NUL, PlainText
from jit.identity import step_up

_SECOND_FACTOR = OpenApiParameter(
    step_up.HEADER,
    str,
    OpenApiParameter.HEADER,
    description="The code of a second factor for this very act; with a bearer token only.",
)
_ALWAYS = {
    "400": ("BadRequest", "The address or the body can't be taken; `errors` names what is wrong."),
    "401": ("Unauthorized", "No token, no cookie, or one that is over."),
    "403": ("Forbidden", "The token's scope or the person's permission is missing."),
    "406": ("NotAcceptable", "Answers are JSON."),
    "429": ("TooManyRequests", "Too many calls; `Retry-After` says for how many seconds."),
    "503": ("Unavailable", "A part that is needed does not answer; try again later."),
}
_OF_ONE = {"404": ("NotFound", "There is no such thing, or it is not the caller's to see.")}
_WRITING = {
    **_OF_ONE,
    "409": ("Conflict", "The state of things is against it."),
    "413": ("ContentTooLarge", "The body is too large."),
    "415": ("UnsupportedMediaType", "The body must be JSON."),
    "422": ("UnprocessableContent", "It was understood, and is refused."),
}


class Schema(AutoSchema):
    """Documents the parameters that a resource declares for a method."""

    def get_override_parameters(self) -> list[Any]:
        query = getattr(self.view, "takes", {}).get(self.method)
        found: list[Any] = [query] if query is not None else []
        if self.method in getattr(self.view, "steps_up", ()):
            found.append(_SECOND_FACTOR)
        return found

    def _get_request_body(self, direction: Any = "request") -> Any:
        """Return a DELETE's body, too: drf-spectacular knows of none."""
        method = self.method
        if method in getattr(self.view, "with_body", ()):
            self.method = "POST"  # a PATCH would have nothing that must be sent
        try:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        finally:
            self.method = method

    def _insert_field_validators(self, field: Any, schema: dict[str, Any]) -> None:
        super()._insert_field_validators(field, schema)  # type: ignore[no-untyped-call]
        if isinstance(field, PlainText):
            schema["pattern"] = NO_NUL


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add to each operation the refusals that a call may meet, all as problem+json (RFC 9457),
    and to each body that it has no other fields.
    """
    components = result["components"]
    components["responses"] = {
        name: {
            "description": words,
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}
            },
        }
        for name, words in (_ALWAYS | _OF_ONE | _WRITING).values()
    }
    for path, method, operation in _operations(result):
        for status, (name, _words) in _refusals(path, method, operation).items():
            operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
        for content in operation.get("requestBody", {}).get("content", {}).values():
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if name:
                components["schemas"][name]["additionalProperties"] = False
    links.add(result["paths"])
    return result


def _operations(result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in result["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "responses" in operation:
                yield path, method, operation


def _refusals(path: str, method: str, operation: dict[str, Any]) -> dict[str, tuple[str, str]]:
    if method != "get":
        return _ALWAYS | _WRITING
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    found = _OF_ONE if "{" in path or "cursor" in names else {}
    searched = {"422": _WRITING["422"]} if names & {"q", "ref"} else {}
    return _ALWAYS | found | searched
