"""The address where hosts fetch which SSH certificates are revoked."""

from __future__ import annotations

from django.urls import path

from jit.catalog import views

urlpatterns = [path("ssh/krl/<slug:target>", views.ssh_krl, name="ssh-krl")]
