"""Every refusal as application/problem+json (RFC 9457), saying what to do next."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response

from jit.kernel.errors import DomainError, InvalidInput

log = logging.getLogger(__name__)

_CODES = {
    status.HTTP_400_BAD_REQUEST: "InvalidInput",
    status.HTTP_401_UNAUTHORIZED: "NotSignedIn",
    status.HTTP_403_FORBIDDEN: "NotAllowed",
    status.HTTP_404_NOT_FOUND: "NotFound",
    status.HTTP_405_METHOD_NOT_ALLOWED: "MethodNotAllowed",
    status.HTTP_413_REQUEST_ENTITY_TOO_LARGE: "BodyTooLarge",
    status.HTTP_415_UNSUPPORTED_MEDIA_TYPE: "UnsupportedMediaType",
    status.HTTP_429_TOO_MANY_REQUESTS: "TooManyRequests",
}


def document(
    *,
    code: str,
    status_code: int,
    detail: str,
    fields: dict[str, list[str]] | None = None,
    extra: dict[str, Any] | None = None,
    title: str = "",
    reference: str = "",
) -> dict[str, Any]:
    """Return the problem document; `reference` finds it in the log."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in code)
    return {
        "type": f"urn:jit:problem:{code}",
        "title": title or words.strip().capitalize(),
        "status": status_code,
        "code": code,
        "detail": detail,
        **({"errors": fields} if fields else {}),
        **({"request_id": reference} if reference else {}),
        **(extra or {}),
    }


class NotAsDescribed(InvalidInput):
    """The address or the body is not what the OpenAPI document lets one send: 400. Whatever is
    refused beyond that was understood: 422, from InvalidInput's kind too.
    """

    code = "InvalidInput"


class BodyTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is larger than anything that can be asked for here. Send less."


def problem(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn a refusal into its answer; a bug stays an exception (and becomes a bare 500)."""
    reference = getattr(context.get("request"), "request_id", "") or ""
    if isinstance(exc, DomainError):
        body = document(
            code=exc.code,
            status_code=_status(exc),
            detail=exc.detail,
            fields=exc.fields,
            extra=exc.extra,
            title=exc.title,
            reference=reference,
        )
        return _answer(body, _headers(exc))
    if isinstance(exc, Http404):
        exc = exceptions.NotFound("There is nothing here.")
    if isinstance(exc, RequestDataTooBig):
        exc = BodyTooLarge()
    if isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied("You may not do this.")
    if not isinstance(exc, exceptions.APIException):
        return None
    fields = _fields(exc.detail) if isinstance(exc, exceptions.ValidationError) else {}
    body = document(
        code=_CODES.get(exc.status_code, type(exc).__name__),
        status_code=exc.status_code,
        detail=_sentence(exc, fields),
        fields=fields,
        reference=reference,
    )
    return _answer(body, _headers(exc))


def _status(exc: DomainError) -> int:
    if isinstance(exc, InvalidInput) and not isinstance(exc, NotAsDescribed):
        return status.HTTP_422_UNPROCESSABLE_ENTITY
    return exc.status


def _answer(body: dict[str, Any], headers: dict[str, str]) -> Response:
    return Response(
        body, status=body["status"], headers=headers, content_type="application/problem+json"
    )


def _headers(exc: Exception) -> dict[str, str]:
    headers = {}
    if isinstance(exc, DomainError):
        if seconds := exc.extra.get("retry_after_seconds"):
            headers["Retry-After"] = str(seconds)
        elif exc.status == status.HTTP_503_SERVICE_UNAVAILABLE:
            headers["Retry-After"] = "5"
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    wait = getattr(exc, "wait", None)
    if wait:
        headers["Retry-After"] = str(int(wait) + 1)
    return headers


def _sentence(exc: exceptions.APIException, fields: dict[str, list[str]]) -> str:
    if fields:
        return "Some fields need another look: " + ", ".join(fields) + "."
    if isinstance(exc, exceptions.MethodNotAllowed):
        return f"{exc.detail} The schema at /api/v1/schema/ lists what each address takes."
    return str(exc.detail)


def _fields(detail: Any, name: str = "") -> dict[str, list[str]]:
    """Return DRF's nested messages as one flat mapping with dotted names."""
    if isinstance(detail, dict):
        flat: dict[str, list[str]] = {}
        for key, value in detail.items():
            flat |= _fields(value, f"{name}.{key}" if name else str(key))
        return flat
    messages = detail if isinstance(detail, list) else [detail]
    return {name or "non_field_errors": [str(message) for message in messages]}
