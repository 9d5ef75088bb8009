"""What people type, made readable for the domain; what is allowed is for the domain to say."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone

from jit.kernel.errors import InvalidInput
from jit.workflow.submit import Ask

NOT_A_NUMBER = "Give a whole number."
MOST_MINUTES = 525_600
MINUTES = f"Give whole minutes, from 1 to {MOST_MINUTES}."


class AskForm(forms.Form):
    """The fields of the request page. `other_minutes` is for a time that no chip offers."""

    role = forms.CharField(required=False, max_length=100)
    ticket = forms.CharField(required=False, max_length=300)
    justification = forms.CharField(required=False, strip=False)
    duration_seconds = forms.IntegerField(required=False, error_messages={"invalid": NOT_A_NUMBER})
    other_minutes = forms.IntegerField(
        label="Minutes",
        required=False,
        min_value=1,
        max_value=MOST_MINUTES,
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), MINUTES),
    )
    starts_at = forms.DateTimeField(
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        error_messages={"invalid": "Give it as a date and a time."},
    )
    extends = forms.UUIDField(required=False)
    promise_ticket = forms.BooleanField(required=False)
    otp = forms.CharField(required=False, max_length=64)

    def ask(self) -> Ask:
        """Return what was typed as an Ask, or raise InvalidInput naming the fields that can't
        be read. A time is in the zone that is active: the reader's.
        """
        if not self.is_valid():
            raise unreadable(self)
        values = self.cleaned_data
        other = values["other_minutes"]
        starts_at = values["starts_at"]
        if starts_at is not None and timezone.is_naive(starts_at):
            starts_at = timezone.make_aware(starts_at)
        return Ask(
            role=values["role"],
            ticket=values["ticket"],
            justification=values["justification"].replace("\r\n", "\n"),
            duration_seconds=values["duration_seconds"] or 0 if other is None else other * 60,
            starts_at=starts_at,
            extends=values["extends"],
        )


class TicketForm(forms.Form):
    """A ticket of the built-in tracker."""

    title = forms.CharField(required=False)
    severity = forms.IntegerField(required=False, error_messages={"invalid": NOT_A_NUMBER})
    description = forms.CharField(required=False)
    assignee = forms.CharField(required=False)
    service = forms.CharField(required=False)
    type = forms.CharField(required=False)

    def fields_given(self) -> dict[str, Any]:
        """Return the fields as the tracker takes them, or raise InvalidInput."""
        if not self.is_valid():
            raise unreadable(self)
        values = dict(self.cleaned_data)
        values["type"] = values["type"] or "incident"
        values["severity"] = values["severity"] or 0
        return values


class TokenForm(forms.Form):
    name = forms.CharField(required=False)
    scopes = forms.MultipleChoiceField(required=False)
    days = forms.IntegerField(required=False, error_messages={"invalid": NOT_A_NUMBER})

    def __init__(self, *args: Any, scopes: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["scopes"]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 -- for the type checker
        field.choices = [(scope, scope) for scope in scopes]


def unreadable(form: forms.Form) -> InvalidInput:
    """Return the refusal for a form whose fields can't be read: each by the name that the page
    has for it, with what is allowed.
    """
    fields = {name: [str(message) for message in errors] for name, errors in form.errors.items()}
    said = [f"{form[name].label}: {errors[0]}" for name, errors in fields.items()]
    return InvalidInput("Some fields can't be read. " + " ".join(said), fields=fields)
