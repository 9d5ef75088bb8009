"""Version 1 of the REST interface; the wings add their own addresses beside these."""

from __future__ import annotations

from django.urls import path

from jit.api import (
    audit,
    break_glass,
    description,
    grants,
    me,
    notifications,
    policy,
    requests,
    roles,
    tickets,
    webhooks,
)

urlpatterns = [
    path("schema/", description.Schema.as_view(), name="api-schema"),
    path("me/", me.Me.as_view(), name="api-me"),
    path("roles/", roles.Roles.as_view(), name="api-roles"),
    path("roles/<slug:slug>/", roles.RoleDetail.as_view(), name="api-role"),
    path("tickets/lookup/", tickets.TicketLookUp.as_view(), name="api-ticket-lookup"),
    path("tickets/", tickets.Tickets.as_view(), name="api-tickets"),
    path("tickets/<str:key>/", tickets.TicketDetail.as_view(), name="api-ticket"),
    path("tickets/<str:key>/close/", tickets.TicketClose.as_view(), name="api-ticket-close"),
    path("requests/preview/", requests.Preview.as_view(), name="api-preview"),
    path("requests/", requests.Requests.as_view(), name="api-requests"),
    path("requests/<uuid:request_id>/", requests.RequestDetail.as_view(), name="api-request"),
    path("requests/<uuid:request_id>/withdraw/", requests.Withdraw.as_view(), name="api-withdraw"),
    path(
        "requests/<uuid:request_id>/ticket/",
        break_glass.FileTicket.as_view(),
        name="api-file-ticket",
    ),
    path("requests/<uuid:request_id>/evidence/", audit.Evidence.as_view(), name="api-evidence"),
    path(
        "requests/<uuid:request_id>/deliveries/",
        notifications.Deliveries.as_view(),
        name="api-deliveries",
    ),
    path("notifications/", notifications.Notifications.as_view(), name="api-notifications"),
    path("notifications/read/", notifications.Read.as_view(), name="api-notifications-read"),
    path(
        "notifications/preferences/",
        notifications.Preferences.as_view(),
        name="api-notification-preferences",
    ),
    path("webhooks/", webhooks.Webhooks.as_view(), name="api-webhooks"),
    path("webhooks/<uuid:endpoint_id>/", webhooks.WebhookDetail.as_view(), name="api-webhook"),
    path(
        "webhooks/<uuid:endpoint_id>/secret/",
        webhooks.WebhookSecret.as_view(),
        name="api-webhook-secret",
    ),
    path(
        "webhooks/<uuid:endpoint_id>/test/", webhooks.WebhookTest.as_view(), name="api-webhook-test"
    ),
    path(
        "webhooks/<uuid:endpoint_id>/deliveries/",
        webhooks.WebhookDeliveries.as_view(),
        name="api-webhook-deliveries",
    ),
    path("break-glass/", break_glass.BreakGlass.as_view(), name="api-break-glass"),
    path("reviews/", break_glass.Reviews.as_view(), name="api-reviews"),
    path("reviews/<uuid:review_id>/", break_glass.CloseReview.as_view(), name="api-review"),
    path("grants/", grants.Grants.as_view(), name="api-grants"),
    path("grants/<uuid:grant_id>/", grants.GrantDetail.as_view(), name="api-grant"),
    path("grants/<uuid:grant_id>/credential/", grants.Credential.as_view(), name="api-credential"),
    path("grants/<uuid:grant_id>/return/", grants.Return.as_view(), name="api-return"),
    path("grants/<uuid:grant_id>/revoke/", grants.Revoke.as_view(), name="api-revoke"),
    path("authorize/", grants.Authorize.as_view(), name="api-authorize"),
    path("policy/", policy.Policy.as_view(), name="api-policy"),
    path("policy/candidates/", policy.Candidates.as_view(), name="api-policy-candidates"),
    path(
        "policy/candidates/<str:digest>/",
        policy.CandidateDetail.as_view(),
        name="api-policy-candidate",
    ),
    path(
        "policy/candidates/<str:digest>/simulation/",
        policy.CandidateSimulation.as_view(),
        name="api-policy-simulation",
    ),
    path(
        "policy/candidates/<str:digest>/activate/",
        policy.CandidateActivation.as_view(),
        name="api-policy-activate",
    ),
    path("audit/events/", audit.Events.as_view(), name="api-events"),
    path("audit/events/<int:seq>/proof/", audit.EventProof.as_view(), name="api-proof"),
    path("audit/checkpoint/", audit.Checkpoint.as_view(), name="api-checkpoint"),
]
