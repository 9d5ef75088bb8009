"""What policy looks like over REST."""

from __future__ import annotations

import re

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jit.api.fields import NO_NUL, PlainText
from jit.api.shapes import Shape

MOST_FILES = 200
LONGEST_FILE = 200_000
LONGEST_NAME = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:[./][A-Za-z0-9][A-Za-z0-9_-]*)*\.ya?ml")


@extend_schema_field(
    {
        "type": "object",
        "minProperties": 1,
        "maxProperties": MOST_FILES,
        "propertyNames": {"maxLength": LONGEST_NAME, "pattern": f"^{_NAME.pattern}$"},
        "additionalProperties": {
            "type": "string",
            "maxLength": LONGEST_FILE,
            "pattern": NO_NUL,
        },
    }
)
class FilesByName(serializers.DictField):
    """The texts of a policy by their file's name."""


class ProposalIn(Shape):
    """`files` holds the whole policy: the text of each file by its name below the folder."""

    files = FilesByName(
        child=PlainText(max_length=LONGEST_FILE, allow_blank=True), allow_empty=False
    )
    comment = PlainText(max_length=1000, required=False, allow_blank=True, default="")

    def validate_files(self, given: dict[str, str]) -> dict[str, str]:
        """Refuse names that no folder of policies could hold."""
        wrong = [name for name in given if len(name) > LONGEST_NAME or not _NAME.fullmatch(name)]
        if wrong:
            raise serializers.ValidationError(
                f"{wrong[0][:100]!r} names no policy file: use a name such as team/payments.yaml."
            )
        if len(given) > MOST_FILES:
            raise serializers.ValidationError(f"At most {MOST_FILES} files.")
        return given


class ActivationIn(Shape):
    comment = PlainText(max_length=1000, required=False, allow_blank=True, default="")


class CaseOut(Shape):
    file = serializers.CharField()
    line = serializers.IntegerField()
    name = serializers.CharField()
    passed = serializers.BooleanField()
    failures = serializers.ListField(child=serializers.CharField())


class FindingOut(Shape):
    file = serializers.CharField()
    line = serializers.IntegerField()
    column = serializers.IntegerField()
    where = serializers.CharField(allow_blank=True)
    message = serializers.CharField()
    severity = serializers.ChoiceField(choices=["error", "warning"])


class DriftOut(Shape):
    disk_digest = serializers.CharField(allow_null=True)
    added = serializers.ListField(child=serializers.CharField())
    removed = serializers.ListField(child=serializers.CharField())
    changed = serializers.ListField(child=serializers.CharField())
    unreadable = serializers.CharField(allow_blank=True)


class CandidateOut(Shape):
    """A bundle that was proposed once; activating an older one rolls back."""

    digest = serializers.CharField()
    in_force = serializers.BooleanField()
    proposed_by = serializers.CharField(allow_null=True)
    proposed_at = serializers.DateTimeField()
    comment = serializers.CharField(allow_blank=True)


class PolicyOut(CandidateOut):
    """The bundle in force. `broken` says why it can't be evaluated; empty is well."""

    activated_by = serializers.CharField(allow_null=True)
    activated_at = serializers.DateTimeField()
    files = serializers.DictField(child=serializers.CharField())
    tests = CaseOut(many=True)
    findings = FindingOut(many=True)
    broken = serializers.CharField(allow_blank=True)
    drift = DriftOut(allow_null=True)


class CandidateDetailOut(CandidateOut):
    """`diff` is unified, by file, against the bundle in force."""

    files = serializers.DictField(child=serializers.CharField())
    tests = CaseOut(many=True)
    findings = FindingOut(many=True)
    broken = serializers.CharField(allow_blank=True)
    diff = serializers.DictField(child=serializers.CharField())


class ReplayOut(Shape):
    request = serializers.UUIDField()
    person = serializers.CharField()
    role = serializers.CharField()
    effect = serializers.ChoiceField(choices=["gains", "loses", "changes"])
    before = serializers.CharField()
    after = serializers.CharField()


class SimulationOut(Shape):
    """`asked` requests were replayed; `differing` are the first that it would have changed."""

    asked = serializers.IntegerField()
    skipped = serializers.IntegerField()
    differing_count = serializers.IntegerField()
    differing = ReplayOut(many=True)
