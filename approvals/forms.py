"""What an approver types on the page."""

from __future__ import annotations

from django import forms

from approvals.states import Verdict

SECONDS = 60


class DecisionForm(forms.Form):
    """`minutes` shortens what was asked for; `otp` is given where the policy wants one."""

    decision = forms.ChoiceField(choices=[(verdict.value, verdict.value) for verdict in Verdict])
    step = forms.UUIDField(required=False)
    comment = forms.CharField(max_length=4000, required=False, strip=False)
    minutes = forms.IntegerField(required=False, min_value=1, max_value=60 * 24 * 31)
    otp = forms.CharField(max_length=40, required=False)

    def duration_seconds(self) -> int | None:
        minutes: int | None = self.cleaned_data.get("minutes")
        return None if minutes is None else minutes * SECONDS
