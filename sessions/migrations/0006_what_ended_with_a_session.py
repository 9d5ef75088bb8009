from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jit_sessions", "0005_release_of_holds"),
    ]

    operations = [
        migrations.AddField(
            model_name="accesssession",
            name="ended",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
