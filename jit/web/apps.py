from __future__ import annotations

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "jit.web"
    label = "web"
