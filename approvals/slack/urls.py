"""Slack's addresses, and those of the pages about it."""

from __future__ import annotations

from django.urls import path

from approvals.slack import pages, views

urlpatterns = [
    path("slack/interactivity/", views.interactivity, name="slack-interactivity"),
    path("slack/commands/", views.commands, name="slack-commands"),
    path("slack/events/", views.events, name="slack-events"),
    path("account/slack/", pages.link, name="slack-link"),
    path("account/slack/code/", pages.new_code, name="slack-code"),
    path("account/slack/typed/", pages.typed, name="slack-typed"),
    path("account/slack/confirm/", pages.confirm, name="slack-confirm"),
    path("account/slack/unlink/", pages.unlink, name="slack-unlink"),
    path("operations/slack/", pages.set_up, name="slack-set-up"),
    path("operations/slack/test/", pages.test_message, name="slack-test"),
]
