"""The base of every refusal, so that one handler turns them all into an answer."""

from __future__ import annotations

from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal that says what to do next.

    Subclasses are named as a sentence (`SelfApproval`, `TicketNotOpen`) and stand beside
    whoever raises them. `code` is the class's name, `status` the HTTP status it answers
    with, `detail` the sentence for the person, `fields` the messages for single inputs and
    `extra` whatever a program may want to read (RFC 9457 extension members).
    """

    status: ClassVar[int] = 422
    title: ClassVar[str] = ""

    def __init__(
        self,
        detail: str,
        *,
        fields: dict[str, list[str]] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields or {}
        self.extra = extra or {}

    @property
    def code(self) -> str:
        return type(self).__name__


class InvalidInput(DomainError):
    """An input that can't be understood; `fields` says which and why."""

    status = 400


class NotFound(DomainError):
    """Nothing of that name that the caller may see."""

    status = 404


class UnknownCursor(NotFound):
    """A cursor of a list that names no place in it, such as one that we did not write."""

    def __init__(self) -> None:
        super().__init__(
            "There is no page of this cursor: leave it out to start from the first page.",
            fields={"cursor": ["Not a cursor of this list."]},
        )


class NotAllowed(DomainError):
    """The caller lacks the permission; the detail names it."""

    status = 403


class Conflict(DomainError):
    """Somebody or something was faster; the detail says what happened."""

    status = 409
