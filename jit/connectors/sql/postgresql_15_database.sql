-- Lets ended roles be tidied up in one more database of a PostgreSQL 13 to 15 cluster. Run with
-- psql, by whoever ran postgresql_15_definer.sql and after it, in every database where people may come
-- to own things (that script runs it in its own database itself):
--
--   psql -d orders -f postgresql_15_database.sql
--
-- service, escrow, definer: as there.
\set ON_ERROR_STOP on
\if :{?service} \else \set service elevation_service \endif
\if :{?escrow} \else \set escrow elevation_escrow \endif
\if :{?definer} \else \set definer elevation_definer \endif

BEGIN;

-- What follows belongs to the definer. Whoever is no superuser must be a member of it for that long.
SELECT NOT pg_has_role(current_user, :'definer', 'MEMBER') AS lent \gset
\if :lent
GRANT :"definer" TO CURRENT_USER;
\endif

CREATE SCHEMA IF NOT EXISTS jit AUTHORIZATION :"definer";
REVOKE ALL ON SCHEMA jit FROM PUBLIC;
GRANT USAGE ON SCHEMA jit TO :"service";

SET LOCAL ROLE :"definer";

-- Hands what a neutralised role owns in this database to the escrow role and takes away what it
-- was given here. Ephemeral roles alone, and only once nobody can log in with them.
CREATE OR REPLACE FUNCTION jit.release_owned(wanted text, escrow text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  note text;
  again boolean;
BEGIN
  SELECT shobj_description(oid, 'pg_authid') INTO note FROM pg_roles
  WHERE rolname = wanted AND NOT rolsuper AND NOT rolcanlogin;
  IF wanted !~ '^jit_[a-z0-9]{4,40}$' OR note IS NULL OR note !~ '^\{"jit": *1,' THEN
    RAISE EXCEPTION '% is not a neutralised role that was given here', wanted
      USING ERRCODE = 'JT003';
  END IF;
  -- The escrow role is whichever our owner belongs to: nobody is handed anything else.
  IF NOT EXISTS (
    SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
    JOIN pg_roles d ON d.oid = m.member
    WHERE d.rolname = current_user AND g.rolname = escrow AND escrow !~ '^(jit|pg)_'
  ) THEN
    RAISE EXCEPTION '% is not the escrow role', escrow USING ERRCODE = 'JT003';
  END IF;
  again := pg_has_role(current_user, wanted, 'MEMBER');
  IF NOT again THEN
    EXECUTE format('GRANT %I TO %I', wanted, current_user);
  END IF;
  EXECUTE format('REASSIGN OWNED BY %I TO %I', wanted, escrow);
  EXECUTE format('DROP OWNED BY %I', wanted);
  EXECUTE format('REVOKE %I FROM %I', wanted, current_user);
END $$;

REVOKE ALL ON FUNCTION jit.release_owned(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION jit.release_owned(text, text) TO :"service";

RESET ROLE;
\if :lent
REVOKE :"definer" FROM CURRENT_USER;
\endif

COMMIT;
