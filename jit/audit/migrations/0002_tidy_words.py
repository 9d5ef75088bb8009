"""Let the clock file the words of new events, so that no writer ever has to.

PostgreSQL keeps new entries of a GIN index on a pending list, and whoever appends when it is full
(`gin_pending_list_limit`) files all of it: 0.1 s in the middle of somebody's change.
"""

from __future__ import annotations

from django.db import migrations

TIDY = """
-- Only the index's owner may; the application does it through this.
CREATE FUNCTION audit_tidy_words() RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
    SELECT coalesce(sum(gin_clean_pending_list(part.inhrelid)), 0)::bigint
    FROM pg_inherits part WHERE part.inhparent = 'public.audit_event_words'::regclass
$$;
REVOKE ALL ON FUNCTION audit_tidy_words() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_tidy_words() TO jit_app;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunSQL(TIDY, "DROP FUNCTION audit_tidy_words()")]
