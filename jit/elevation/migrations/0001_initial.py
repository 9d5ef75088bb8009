import django.contrib.postgres.indexes
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("catalog", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ElevationRequest",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("ticket_system", models.CharField(max_length=40)),
                ("ticket_key", models.CharField(max_length=200)),
                ("ticket", models.JSONField(default=dict)),
                ("justification", models.CharField(max_length=4000)),
                ("duration_seconds", models.PositiveIntegerField()),
                ("granted_seconds", models.PositiveIntegerField()),
                ("starts_at", models.DateTimeField(blank=True, null=True)),
                ("state", models.CharField(default="PENDING", max_length=10)),
                ("channel", models.CharField(max_length=10)),
                ("ruling", models.JSONField(default=dict)),
                ("break_glass", models.BooleanField(default=False)),
                ("second_factor_at", models.DateTimeField(blank=True, null=True)),
                ("approvers", models.JSONField(blank=True, default=list)),
                ("extension_applied_at", models.DateTimeField(blank=True, null=True)),
                ("idempotency_key", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField()),
                ("lapses_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "requester",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="elevation_requests",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "role",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="elevation_requests",
                        to="catalog.role",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="Grant",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("external_name", models.CharField(max_length=63, unique=True)),
                ("state", models.CharField(default="SCHEDULED", max_length=10)),
                ("duration_seconds", models.PositiveIntegerField()),
                ("scheduled_for", models.DateTimeField()),
                ("starts_at", models.DateTimeField(blank=True, null=True)),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("revoke_at", models.DateTimeField(blank=True, null=True)),
                ("end_reason", models.CharField(blank=True, max_length=20)),
                ("end_comment", models.CharField(blank=True, max_length=1000)),
                ("provisioned_at", models.DateTimeField(blank=True, null=True)),
                ("revoking_since", models.DateTimeField(blank=True, null=True)),
                ("revocation_verified_at", models.DateTimeField(blank=True, null=True)),
                ("evidence", models.JSONField(blank=True, default=dict)),
                ("waiting_for", models.CharField(blank=True, max_length=300)),
                ("credential", models.BinaryField(blank=True, null=True)),
                ("credential_shown_at", models.DateTimeField(blank=True, null=True)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("next_try_at", models.DateTimeField(blank=True, null=True)),
                ("tries", models.PositiveIntegerField(default=0)),
                ("generation", models.PositiveIntegerField(default=0)),
                ("last_error", models.CharField(blank=True, max_length=1000)),
                ("rang_at", models.DateTimeField(blank=True, null=True)),
                ("lost_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                (
                    "request",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grant",
                        to="elevation.elevationrequest",
                    ),
                ),
                (
                    "role",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grants",
                        to="catalog.role",
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grants",
                        to="catalog.target",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grants",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
            },
        ),
        migrations.AddField(
            model_name="elevationrequest",
            name="extends",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="extensions",
                to="elevation.grant",
            ),
        ),
        migrations.CreateModel(
            name="GrantAttempt",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("step", models.CharField(max_length=20)),
                ("at", models.DateTimeField()),
                ("milliseconds", models.PositiveIntegerField()),
                ("ok", models.BooleanField()),
                ("error", models.CharField(blank=True, max_length=1000)),
                (
                    "grant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="attempts",
                        to="elevation.grant",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="Orphan",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("external_name", models.CharField(max_length=200)),
                ("seen", models.JSONField(default=dict)),
                ("found_at", models.DateTimeField()),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
                ("resolution", models.CharField(blank=True, max_length=20)),
                (
                    "target",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orphans",
                        to="catalog.target",
                    ),
                ),
            ],
            options={
                "ordering": ["-found_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="AfterReview",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("state", models.CharField(default="OPEN", max_length=10)),
                ("created_at", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("escalated_at", models.DateTimeField(blank=True, null=True)),
                ("comment", models.CharField(blank=True, max_length=4000)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "reviewer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="after_reviews",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "request",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="after_review",
                        to="elevation.elevationrequest",
                    ),
                ),
            ],
            options={
                "ordering": ["due_at", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["OPEN", "CONFIRMED", "FLAGGED"])),
                        name="review_state_known",
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(fields=["-created_at", "-id"], name="grant_newest"),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(fields=["user", "-created_at", "-id"], name="grant_by_user"),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(
                condition=models.Q(("state", "ACTIVE")), fields=["ends_at"], name="grant_active_due"
            ),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(
                condition=models.Q(("revoke_at__isnull", False), ("state", "ACTIVE")),
                fields=["revoke_at"],
                name="grant_early_due",
            ),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(
                condition=models.Q(("state__in", ["SCHEDULED", "ACTIVATING", "REVOKING"])),
                fields=["next_try_at"],
                name="grant_work_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "state__in",
                        ["SCHEDULED", "ACTIVATING", "ACTIVE", "REVOKING", "ENDED", "WITHDRAWN"],
                    )
                ),
                name="grant_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "end_reason__in",
                        [
                            "",
                            "expired",
                            "returned",
                            "revoked",
                            "ticket-closed",
                            "requester-left",
                            "policy",
                            "activation-failed",
                        ],
                    )
                ),
                name="grant_end_reason_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "ACTIVE"), _negated=True),
                    models.Q(("ends_at__isnull", False), ("starts_at__isnull", False)),
                    _connector="OR",
                ),
                name="active_grant_has_an_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "ENDED"), _negated=True),
                    models.Q(
                        ("credential__isnull", True), ("revocation_verified_at__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="ended_means_seen_gone",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["SCHEDULED", "ACTIVATING", "ACTIVE"])),
                fields=("user", "role"),
                name="one_live_grant_per_role",
            ),
        ),
        migrations.AddIndex(
            model_name="elevationrequest",
            index=models.Index(fields=["-created_at", "-id"], name="request_newest"),
        ),
        migrations.AddIndex(
            model_name="elevationrequest",
            index=models.Index(
                fields=["requester", "-created_at", "-id"], name="request_by_requester"
            ),
        ),
        migrations.AddIndex(
            model_name="elevationrequest",
            index=models.Index(fields=["ticket_system", "ticket_key"], name="request_by_ticket"),
        ),
        migrations.AddIndex(
            model_name="elevationrequest",
            index=models.Index(fields=["role", "-created_at", "-id"], name="request_by_role"),
        ),
        migrations.AddIndex(
            model_name="elevationrequest",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["approvers"], name="request_by_approver"
            ),
        ),
        migrations.AddIndex(
            model_name="elevationrequest",
            index=models.Index(
                condition=models.Q(("state", "PENDING")),
                fields=["lapses_at"],
                name="request_pending_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="elevationrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["PENDING", "APPROVED", "DENIED", "WITHDRAWN", "LAPSED"])
                ),
                name="request_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="elevationrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("duration_seconds__gte", 10),
                    ("granted_seconds__gte", 10),
                    ("granted_seconds__lte", models.F("duration_seconds")),
                ),
                name="request_duration_bounded",
            ),
        ),
        migrations.AddConstraint(
            model_name="elevationrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "PENDING")),
                fields=("requester", "role"),
                name="one_pending_request_per_role",
            ),
        ),
        migrations.AddConstraint(
            model_name="elevationrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key", ""), _negated=True),
                fields=("requester", "idempotency_key"),
                name="request_idempotency",
            ),
        ),
        migrations.AddConstraint(
            model_name="orphan",
            constraint=models.UniqueConstraint(
                condition=models.Q(("resolved_at__isnull", True)),
                fields=("target", "external_name"),
                name="one_open_orphan_per_name",
            ),
        ),
    ]
