"""Addresses of the notifications' pages."""

from __future__ import annotations

from django.urls import path

from jit.web.views import notifications

urlpatterns = [
    path("notifications/", notifications.inbox, name="notifications"),
    path("notifications/read/", notifications.read, name="notifications-read"),
    path("notifications/bell/", notifications.bell, name="notifications-bell"),
    path("account/notifications/", notifications.preferences, name="account-notifications"),
    path(
        "requests/<uuid:request_id>/deliveries/",
        notifications.deliveries,
        name="request-deliveries",
    ),
]
