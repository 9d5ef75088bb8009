-- Part of postgresql_15_definer.sql and postgresql_16_setup.sql, which run it in their transaction:
-- why a role may not be given, and the refusal of those in `roles` that may not.

-- What the role is, or may become as a member, that undoes its deadline or makes what outlives it;
-- NULL if it may be given.
CREATE OR REPLACE FUNCTION jit.why_not(wanted text)
RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  WITH RECURSIVE reached (oid) AS (
    SELECT oid FROM pg_roles WHERE rolname = wanted::name
    UNION SELECT m.roleid FROM reached r JOIN pg_auth_members m ON m.member = r.oid
  )
  SELECT string_agg(
    CASE WHEN rolname = wanted::name THEN wanted ELSE format('%s as %s', wanted, rolname) END
    || CASE WHEN rolsuper THEN ' is a superuser'
      WHEN rolcreaterole THEN ' may make roles'
      WHEN rolreplication THEN ' may replicate'
      ELSE ' acts on the server''s machine' END,
    '; ' ORDER BY rolname
  )
  FROM reached JOIN pg_roles USING (oid)
  WHERE rolsuper OR rolcreaterole OR rolreplication OR rolname IN (
    'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files',
    'azure_pg_admin', 'cloudsqlsuperuser', 'rds_replication', 'rds_superuser'
  )
$$;
REVOKE ALL ON FUNCTION jit.why_not(text) FROM PUBLIC;

SELECT set_config('jit.roles', :'roles', true) \g /dev/null
DO $$
DECLARE
  wanted text;
  why text;
BEGIN
  FOR wanted IN SELECT trim(r) FROM regexp_split_to_table(current_setting('jit.roles'), ',') AS r LOOP
    IF to_regrole(quote_ident(wanted)) IS NULL THEN
      RAISE EXCEPTION 'there is no role %', wanted;
    END IF;
    why := jit.why_not(wanted);
    IF why IS NOT NULL THEN
      RAISE EXCEPTION 'the role % may not be given: %', wanted, why
        USING HINT = 'Whoever is given it could keep access past the end. Take that away from it, or give another role.';
    END IF;
    IF EXISTS (
      WITH RECURSIVE reached (oid) AS (
        SELECT oid FROM pg_roles WHERE rolname = wanted::name
        UNION SELECT m.roleid FROM reached r JOIN pg_auth_members m ON m.member = r.oid
      ) SELECT FROM reached JOIN pg_roles USING (oid) WHERE rolcanlogin OR rolbypassrls
    ) THEN
      RAISE WARNING 'the role % can log in or passes row-level security by, itself or as a member', wanted
        USING HINT = 'Whoever is given a role that can log in can set its password, and nobody can see that they did. Give a NOLOGIN role instead.';
    END IF;
  END LOOP;
END $$;
