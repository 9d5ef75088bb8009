from __future__ import annotations

from django.apps import AppConfig


class ElevationConfig(AppConfig):
    name = "jit.elevation"
    label = "elevation"
