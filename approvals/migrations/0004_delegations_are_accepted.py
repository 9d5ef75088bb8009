from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0003_delegation_and_escalation")]

    # Nobody was asked for the delegations that there are: they count once they are accepted.
    operations = [
        migrations.AddField(
            model_name="delegation",
            name="accepted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
