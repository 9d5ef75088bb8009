"""The addresses that those who run it ask."""

from __future__ import annotations

from django.urls import path

from jit.ops import views

urlpatterns = [
    path("livez", views.livez, name="livez"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.prometheus, name="metrics"),
]
