"""The approver's addresses."""

from __future__ import annotations

from django.urls import include, path

from approvals import delegation_views, views

app_name = "approvals"
urlpatterns = [
    path("inbox/", views.inbox, name="inbox"),
    path("requests/<uuid:request_id>/chain/", views.chain, name="chain"),
    path("requests/<uuid:request_id>/decide/", views.decide, name="decide"),
    path("account/delegations/", delegation_views.show, name="delegations"),
    path("account/delegations/new/", delegation_views.delegate, name="delegate"),
    path(
        "account/delegations/<uuid:delegation_id>/accept/",
        delegation_views.accept,
        name="accept-delegation",
    ),
    path(
        "account/delegations/<uuid:delegation_id>/end/",
        delegation_views.revoke,
        name="revoke-delegation",
    ),
    path("", include("approvals.slack.urls")),
]
