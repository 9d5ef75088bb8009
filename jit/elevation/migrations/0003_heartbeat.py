"""When the clock's works were last done whole."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("elevation", "0002_told_of_end"),
    ]

    operations = [
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                ("work", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
            ],
        ),
    ]
