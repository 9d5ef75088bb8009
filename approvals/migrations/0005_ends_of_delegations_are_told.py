from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.models.functions import Now


def told(apps: Any, schema_editor: Any) -> None:
    """Tell nobody of what ended before there was anything to tell."""
    delegation = apps.get_model("approvals", "Delegation")
    over = models.Q(revoked_at__isnull=False) | models.Q(ends_at__lte=Now())
    rows = delegation.objects.using(schema_editor.connection.alias)
    rows.filter(over).update(end_told_at=Now())


class Migration(migrations.Migration):
    dependencies = [("approvals", "0004_delegations_are_accepted")]

    operations = [
        migrations.AddField(
            model_name="delegation",
            name="end_told_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.RunPython(told, migrations.RunPython.noop, elidable=True),
    ]
