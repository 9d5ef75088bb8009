import django.contrib.postgres.indexes
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("elevation", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Chain",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("state", models.CharField(default="OPEN", max_length=10)),
                ("same_person_may_repeat", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "request",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="chain",
                        to="elevation.elevationrequest",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Step",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("position", models.PositiveSmallIntegerField()),
                ("any_of", models.JSONField()),
                ("resolved", models.JSONField(default=list)),
                ("quorum", models.PositiveSmallIntegerField(default=1)),
                ("lapse_after_seconds", models.PositiveIntegerField()),
                ("state", models.CharField(default="WAITING", max_length=10)),
                ("opened_at", models.DateTimeField(blank=True, null=True)),
                ("lapses_at", models.DateTimeField(blank=True, null=True)),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "chain",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="steps",
                        to="approvals.chain",
                    ),
                ),
            ],
            options={
                "ordering": ["chain", "position"],
            },
        ),
        migrations.CreateModel(
            name="Decision",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("person", models.UUIDField()),
                ("verdict", models.CharField(max_length=10)),
                ("channel", models.CharField(max_length=10)),
                ("comment", models.CharField(blank=True, max_length=4000)),
                ("duration_seconds", models.PositiveIntegerField(blank=True, null=True)),
                ("second_factor", models.BooleanField(default=False)),
                ("decided_at", models.DateTimeField()),
                (
                    "approver",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "step",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to="approvals.step",
                    ),
                ),
            ],
            options={
                "ordering": ["decided_at", "id"],
            },
        ),
        migrations.AddConstraint(
            model_name="chain",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["OPEN", "APPROVED", "DENIED", "CANCELLED"])),
                name="chain_state_known",
            ),
        ),
        migrations.AddIndex(
            model_name="step",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["resolved"], name="step_by_approver"
            ),
        ),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.UniqueConstraint(
                fields=("chain", "position"), name="step_position_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "OPEN")),
                fields=("chain",),
                name="one_open_step_per_chain",
            ),
        ),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["WAITING", "OPEN", "APPROVED", "DENIED", "SKIPPED"])
                ),
                name="step_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.CheckConstraint(
                condition=models.Q(("quorum__gte", 1)), name="step_quorum_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.UniqueConstraint(
                fields=("step", "person"), name="one_voice_per_person"
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(("verdict__in", ["approve", "deny"])), name="verdict_known"
            ),
        ),
    ]
