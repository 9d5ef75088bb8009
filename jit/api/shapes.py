"""What comes in and goes out, as the OpenAPI document shows it."""

from __future__ import annotations

import functools
from typing import Any

from rest_framework import serializers

from jit.api.fields import Choice, Flag, Id, Moment, PlainText, WholeNumber, WholeSeconds
from jit.elevation.models import LONGEST_JUSTIFICATION
from jit.workflow import submit

Shape = serializers.Serializer[Any]


class AskIn(Shape):
    role = PlainText(max_length=100)
    ticket = PlainText(max_length=2000)
    justification = PlainText(max_length=LONGEST_JUSTIFICATION)
    duration_seconds = WholeSeconds(
        min_value=submit.SHORTEST_SECONDS, max_value=submit.LONGEST_SECONDS
    )
    starts_at = Moment(required=False, allow_null=True)
    extends = Id(required=False, allow_null=True)


class BreakGlassIn(Shape):
    role = PlainText(max_length=100)
    ticket = PlainText(max_length=2000, required=False, allow_blank=True, default="")
    promise_ticket = Flag(required=False, default=False)
    justification = PlainText(max_length=LONGEST_JUSTIFICATION)
    duration_seconds = WholeSeconds(
        min_value=submit.SHORTEST_SECONDS, max_value=submit.LONGEST_SECONDS
    )
    otp = PlainText(max_length=40, required=False, allow_blank=True, default="")


class ReasonIn(Shape):
    reason = PlainText(max_length=1000)


class TicketIn(Shape):
    ticket = PlainText(max_length=2000)


class LocalTicketIn(Shape):
    """A ticket of the built-in tracker; `severity` from 1 (worst) to 5."""

    title = PlainText(max_length=300)
    severity = WholeNumber(min_value=1, max_value=5)
    description = PlainText(required=False, allow_blank=True, default="")
    assignee = PlainText(max_length=150, required=False, allow_blank=True, default="")
    service = PlainText(max_length=100, required=False, allow_blank=True, default="")
    type = PlainText(max_length=40, required=False, default="incident")


class LocalTicketEdit(Shape):
    """What changes; fields left out stay."""

    title = PlainText(max_length=300, required=False)
    severity = WholeNumber(required=False, min_value=1, max_value=5)
    description = PlainText(required=False, allow_blank=True)
    assignee = PlainText(max_length=150, required=False, allow_blank=True)
    service = PlainText(max_length=100, required=False, allow_blank=True)
    type = PlainText(max_length=40, required=False)


class ReviewIn(Shape):
    outcome = Choice(choices=["confirm", "flag"])
    comment = PlainText(max_length=4000, required=False, allow_blank=True, default="")


class ProblemOut(Shape):
    """RFC 9457. `code` is stable; `detail` says what to do next; `errors` names fields."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    errors = serializers.DictField(  # type: ignore[assignment]  # RFC 9457's name, also DRF's own
        child=serializers.ListField(child=serializers.CharField()), required=False
    )
    request_id = serializers.CharField(required=False)


class TicketOut(Shape):
    system = serializers.CharField(allow_blank=True)
    key = serializers.CharField(allow_blank=True)
    url = serializers.CharField(required=False, allow_blank=True)
    title = serializers.CharField(required=False, allow_blank=True)
    status = serializers.CharField(required=False, allow_blank=True)
    is_open = serializers.BooleanField(required=False)
    severity = serializers.IntegerField(required=False, allow_null=True)
    assignee = serializers.CharField(required=False, allow_null=True)
    service = serializers.CharField(required=False, allow_blank=True)
    type = serializers.CharField(required=False, allow_blank=True)
    fetched_at = serializers.CharField(required=False)
    opened_by = serializers.CharField(required=False, allow_null=True)
    opened_at = serializers.CharField(required=False, allow_null=True)
    changed_by = serializers.ListField(
        child=serializers.CharField(), required=False, allow_null=True
    )
    unknown = serializers.ListField(child=serializers.CharField(), required=False)


class LocalTicketOut(Shape):
    key = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(choices=["OPEN", "CLOSED"])
    severity = serializers.IntegerField()
    assignee = serializers.CharField(allow_blank=True)
    service = serializers.CharField(allow_blank=True)
    type = serializers.CharField()
    opened_by = serializers.CharField()
    changed_by = serializers.ListField(child=serializers.CharField(), allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)


class ClauseOut(Shape):
    """One clause and how it went. A guardrail (`deny_when`) passes when it does not refuse.
    `values` are the facts that it names, by dotted name, durations in whole seconds; `message`
    says why it refuses and is empty where it passed.
    """

    rule = serializers.CharField()
    part = serializers.CharField()
    text = serializers.CharField()
    passed = serializers.BooleanField(allow_null=True)
    message = serializers.CharField(allow_blank=True)
    values = serializers.DictField()


class RulingOut(Shape):
    outcome = serializers.ChoiceField(
        choices=["auto", "needs_approval", "not_eligible", "denied", "error"]
    )
    rule = serializers.CharField(allow_blank=True, allow_null=True)
    guardrails = serializers.ListField(child=serializers.CharField())
    max_duration_seconds = serializers.IntegerField()
    trace = ClauseOut(many=True)
    obligations = serializers.DictField()
    chain = serializers.ListField(child=serializers.DictField())


class PreviewOut(RulingOut):
    """The ruling before asking: `who` are the people each step would ask, `problem` what
    would refuse the request now.
    """

    ticket = TicketOut(allow_null=True)
    who = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    break_glass = serializers.DictField()
    problem = ProblemOut(allow_null=True)


class DecisionOut(Shape):
    approver = serializers.CharField()
    on_behalf_of = serializers.CharField(allow_blank=True)
    decision = serializers.CharField()
    channel = serializers.CharField()
    comment = serializers.CharField(allow_blank=True)
    duration_seconds = serializers.IntegerField(allow_null=True)
    decided_at = serializers.DateTimeField()


class StandInOut(Shape):
    username = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # `for` is a word of Python, so it can't be declared above.
        return {**super().get_fields(), "for": serializers.CharField()}


class StepOut(Shape):
    id = serializers.UUIDField()
    position = serializers.IntegerField()
    state = serializers.ChoiceField(choices=["WAITING", "OPEN", "APPROVED", "DENIED", "SKIPPED"])
    any_of = serializers.ListField(child=serializers.CharField())
    quorum = serializers.IntegerField()
    candidates = serializers.ListField(child=serializers.CharField())
    stand_ins = StandInOut(many=True)
    escalate_at = serializers.DateTimeField(allow_null=True)
    escalated_at = serializers.DateTimeField(allow_null=True)
    escalated_to = serializers.ListField(child=serializers.CharField())
    decisions = DecisionOut(many=True)
    opened_at = serializers.DateTimeField(allow_null=True)
    lapses_at = serializers.DateTimeField(allow_null=True)


class AttemptOut(Shape):
    step = serializers.CharField()
    at = serializers.DateTimeField()
    milliseconds = serializers.IntegerField()
    ok = serializers.BooleanField()
    error = serializers.CharField(allow_blank=True)


class GrantOut(Shape):
    id = serializers.UUIDField()
    request = serializers.UUIDField()
    state = serializers.ChoiceField(
        choices=["SCHEDULED", "ACTIVATING", "ACTIVE", "REVOKING", "ENDED", "WITHDRAWN"]
    )
    role = serializers.CharField()
    target = serializers.CharField()
    requester = serializers.CharField()
    duration_seconds = serializers.IntegerField()
    scheduled_for = serializers.DateTimeField()
    starts_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    revoke_at = serializers.DateTimeField(allow_null=True)
    end_reason = serializers.CharField(allow_blank=True)
    end_comment = serializers.CharField(allow_blank=True)
    provisioned_at = serializers.DateTimeField(allow_null=True)
    revocation_verified_at = serializers.DateTimeField(allow_null=True)
    waiting_for = serializers.CharField(allow_blank=True)
    last_error = serializers.CharField(allow_blank=True)
    next_try_at = serializers.DateTimeField(allow_null=True)
    lost_at = serializers.DateTimeField(allow_null=True)
    evidence = serializers.DictField()


class GrantDetailOut(GrantOut):
    attempts = AttemptOut(many=True)


class RequestOut(Shape):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(
        choices=["PENDING", "APPROVED", "DENIED", "WITHDRAWN", "LAPSED"]
    )
    requester = serializers.CharField()
    role = serializers.CharField()
    target = serializers.CharField()
    ticket = TicketOut()
    justification = serializers.CharField()
    duration_seconds = serializers.IntegerField()
    granted_seconds = serializers.IntegerField()
    starts_at = serializers.DateTimeField(allow_null=True)
    planned_end = serializers.DateTimeField(
        allow_null=True,
        help_text="With `starts_at`: when the window ends. The request lapses then at the latest; "
        "a late yes gives what is left.",
    )
    break_glass = serializers.BooleanField()
    extends = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()
    lapses_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    ruling = RulingOut()
    chain = StepOut(many=True)
    grant = GrantOut(allow_null=True)


class RoleOut(Shape):
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    target = serializers.CharField()
    risk = serializers.CharField()
    owner_group = serializers.CharField()
    max_duration_seconds = serializers.IntegerField()
    tags = serializers.DictField()
    eligible = serializers.BooleanField()
    why_not = serializers.ListField(child=serializers.CharField())


class CredentialOut(Shape):
    """How to come in: through a gateway with a password for one session, or at the target
    itself. `psql` and `command` are ready lines to type, `database` comes with PostgreSQL.
    `host_key` (SHA-256 fingerprints) and `known_hosts` (lines) tell who answers by SSH.
    """

    host = serializers.CharField()
    port = serializers.CharField()
    user = serializers.CharField()
    password = serializers.CharField()
    database = serializers.CharField(required=False)
    sslmode = serializers.CharField(required=False)
    sslrootcert = serializers.CharField(required=False)
    psql = serializers.CharField(required=False)
    command = serializers.CharField(required=False)
    host_key = serializers.CharField(required=False)
    known_hosts = serializers.CharField(required=False)


class AuthorizeOut(Shape):
    active = serializers.BooleanField()
    grant = serializers.UUIDField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)


class ReviewOut(Shape):
    id = serializers.UUIDField()
    request = serializers.UUIDField()
    state = serializers.ChoiceField(choices=["OPEN", "CONFIRMED", "FLAGGED"])
    requester = serializers.CharField()
    role = serializers.CharField()
    due_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    escalated_at = serializers.DateTimeField(allow_null=True)
    reviewer = serializers.CharField(allow_null=True)
    comment = serializers.CharField(allow_blank=True)
    closed_at = serializers.DateTimeField(allow_null=True)


class MeOut(Shape):
    id = serializers.UUIDField()
    username = serializers.CharField()
    display_name = serializers.CharField(allow_blank=True)
    timezone = serializers.CharField()
    groups = serializers.ListField(child=serializers.CharField())
    permissions = serializers.ListField(child=serializers.CharField())
    scopes = serializers.ListField(child=serializers.CharField(), allow_null=True)
    second_factor_at = serializers.DateTimeField(allow_null=True)
    second_factor_age_seconds = serializers.IntegerField(allow_null=True)


class EventOut(Shape):
    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    channel = serializers.CharField()
    action = serializers.CharField()
    subject_type = serializers.CharField()
    subject_id = serializers.CharField()
    request = serializers.UUIDField(allow_null=True)
    grant = serializers.UUIDField(allow_null=True)
    body = serializers.DictField()


@functools.cache
def page_of(item: type[Shape]) -> type[Shape]:
    """Return the shape of one keyset page of `item`."""
    name = item.__name__.removesuffix("Out") + "PageOut"
    fields = {
        "items": item(many=True),
        "next": serializers.CharField(allow_null=True),
        "__module__": __name__,
    }
    return type(name, (serializers.Serializer,), fields)
