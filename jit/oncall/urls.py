"""The address that on-call systems send their webhooks to."""

from __future__ import annotations

from django.urls import path

from jit.oncall import views

app_name = "oncall"
urlpatterns = [path("hooks/pagerduty/", views.pagerduty, name="pagerduty")]
