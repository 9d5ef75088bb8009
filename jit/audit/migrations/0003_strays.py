"""Let the application count what lies outside every month's partition, of which it may see nothing
by itself: a count over the whole log by `tableoid` reads every partition (PostgreSQL prunes by
bounds only), and grows with history.
"""

from __future__ import annotations

from django.db import migrations

THERE = """
CREATE FUNCTION audit_strays()
RETURNS bigint
LANGUAGE sql SECURITY DEFINER STABLE
SET search_path = public, pg_temp
AS $$ SELECT count(*) FROM ONLY audit_event_default $$;
REVOKE ALL ON FUNCTION audit_strays() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_strays() TO jit_app;
"""
AWAY = "DROP FUNCTION audit_strays();"


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_tidy_words")]

    operations = [migrations.RunSQL(THERE, AWAY)]
