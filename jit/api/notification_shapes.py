"""What comes in and goes out about notifications, as the OpenAPI document shows it."""

from __future__ import annotations

from rest_framework import serializers

from jit.api.fields import Choice, Flag, Id, PlainText
from jit.api.shapes import Shape
from jit.notifications.kinds import CHOOSABLE, Kind
from jit.notifications.models import LONGEST_URL, Outcome

KINDS = [kind.value for kind in CHOOSABLE]


class NotificationOut(Shape):
    """`title` is a sentence for its reader; `payload` the same for programs."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    title = serializers.CharField()
    link = serializers.CharField()
    payload = serializers.DictField()
    created_at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True)


class InboxOut(Shape):
    items = NotificationOut(many=True)
    next = serializers.CharField(allow_null=True)
    unread = serializers.IntegerField()


class ReadIn(Shape):
    """The notifications that were read; without `ids`, all."""

    ids = serializers.ListField(child=Id(), required=False, allow_null=True, max_length=1000)


class ReadOut(Shape):
    marked = serializers.IntegerField()
    unread = serializers.IntegerField()


class PreferencesOut(Shape):
    """`{kind: {channel: wanted}}`; the inbox is always on."""

    preferences = serializers.DictField(
        child=serializers.DictField(child=serializers.BooleanField())
    )


class PreferencesIn(Shape):
    """What is to change; what is not named stays as it is."""

    preferences = serializers.DictField(child=serializers.DictField(child=Flag()))


class DeliveryOut(Shape):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    channel = serializers.CharField()
    to = serializers.CharField()
    outcome = serializers.ChoiceField(choices=Outcome.values)
    arrived = serializers.BooleanField()
    reason = serializers.CharField(allow_blank=True)
    tries = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)
    next_try_at = serializers.DateTimeField(allow_null=True)


class WebhookIn(Shape):
    name = PlainText(max_length=100)
    url = PlainText(max_length=LONGEST_URL)
    kinds = serializers.ListField(child=Choice(choices=KINDS), required=False, default=list)


class WebhookEdit(Shape):
    name = PlainText(max_length=100, required=False)
    url = PlainText(max_length=LONGEST_URL, required=False)
    kinds = serializers.ListField(child=Choice(choices=KINDS), required=False)
    enabled = Flag(required=False)


class WebhookOut(Shape):
    """No `kinds` means all of them."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    url = serializers.CharField()
    kinds = serializers.ListField(child=serializers.CharField())
    enabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    failing_since = serializers.DateTimeField(allow_null=True)
    disabled_at = serializers.DateTimeField(allow_null=True)
    disabled_reason = serializers.CharField(allow_blank=True)


class WebhookMadeOut(WebhookOut):
    """With the secret that signs, which can't be read again."""

    secret = serializers.CharField()


class WebhookSecretOut(Shape):
    """The new secret; for a day the old one signs too."""

    secret = serializers.CharField()
