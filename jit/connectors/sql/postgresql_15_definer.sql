-- Sets up a cluster of PostgreSQL 13 to 15 as a target. Run with psql, in the database that the
-- target's configuration names ("database"), by a superuser; or, on a managed service, by a role with
-- CREATEROLE and CREATE on that database:
--
--   psql -v roles=orders_ro,orders_rw -v longest='4 hours' -f postgresql_15_definer.sql
--   \password elevation_service
--
-- roles     what may be given, with commas between (required). Each must exist, and neither be nor
--           reach by membership a superuser or a role that may make roles, replicate, or act on the
--           server's machine
-- longest   the longest time any of them may be given for, from now on   (1 day)
-- service   our service account           (elevation_service)
-- escrow    takes over what an ended role owned   (elevation_escrow)
-- definer   owns the functions; nobody can log in as it   (elevation_definer)
--
-- Then run postgresql_15_database.sql in every other database where people own things.
--
-- Why functions: up to 15 CREATEROLE is close to superuser (it can give itself
-- pg_execute_server_program, and change or drop any role that is no superuser). Here the service
-- account has no such right: it can call these functions, which make and end roles named jit_…,
-- give only what jit.allowed_role lists, and for no longer than it says. Running it again is harmless.
\set ON_ERROR_STOP on
\if :{?service} \else \set service elevation_service \endif
\if :{?escrow} \else \set escrow elevation_escrow \endif
\if :{?definer} \else \set definer elevation_definer \endif
\if :{?longest} \else \set longest '1 day' \endif
\if :{?roles}
\else
  \echo 'Say which roles may be given: -v roles=orders_ro,orders_rw'
  \quit 3
\endif

BEGIN;

SELECT format('CREATE ROLE %I NOLOGIN', :'escrow')
WHERE to_regrole(quote_ident(:'escrow')) IS NULL \gexec
SELECT format('CREATE ROLE %I NOLOGIN CREATEROLE', :'definer')
WHERE to_regrole(quote_ident(:'definer')) IS NULL \gexec
SELECT format('CREATE ROLE %I LOGIN CONNECTION LIMIT 40', :'service')
WHERE to_regrole(quote_ident(:'service')) IS NULL \gexec

-- What follows belongs to the definer. Whoever is no superuser must be a member of it for that long.
SELECT NOT pg_has_role(current_user, :'definer', 'MEMBER') AS lent \gset
\if :lent
GRANT :"definer" TO CURRENT_USER;
\endif

GRANT :"escrow" TO :"definer";
-- Revoking a role ends no open session; ending its backend does.
GRANT pg_signal_backend TO :"service";
-- Lets the health check see whether pg_hba.conf lets anybody in without a password, past VALID UNTIL;
-- on a managed service nobody can give that, and the health check says what it doesn't know.
SELECT has_function_privilege('pg_hba_file_rules()', 'EXECUTE WITH GRANT OPTION')
  AND has_table_privilege('pg_hba_file_rules', 'SELECT WITH GRANT OPTION') AS hba \gset
\if :hba
GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO :"service";
GRANT SELECT ON pg_catalog.pg_hba_file_rules TO :"service";
\endif

CREATE SCHEMA IF NOT EXISTS jit AUTHORIZATION :"definer";
REVOKE ALL ON SCHEMA jit FROM PUBLIC;
GRANT USAGE ON SCHEMA jit TO :"service";

SET LOCAL ROLE :"definer";

CREATE TABLE IF NOT EXISTS jit.allowed_role (
  role text PRIMARY KEY,
  longest interval NOT NULL CHECK (longest > interval '0')
);
-- A provision that arrives after its revoke (a worker that was asleep) finds this and is refused.
CREATE TABLE IF NOT EXISTS jit.tombstone (
  name text PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS tombstone_at ON jit.tombstone (at);
REVOKE ALL ON jit.allowed_role, jit.tombstone FROM PUBLIC;
GRANT SELECT ON jit.allowed_role TO :"service";

\ir postgresql_why_not.sql

INSERT INTO jit.allowed_role (role, longest)
SELECT trim(role), :'longest'::interval FROM regexp_split_to_table(:'roles', ',') AS role
ON CONFLICT (role) DO UPDATE SET longest = excluded.longest;

CREATE OR REPLACE FUNCTION jit.check_deadline(deadline timestamptz, wanted_role text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  at_most interval;
BEGIN
  SELECT longest INTO at_most FROM jit.allowed_role WHERE role = wanted_role;
  IF at_most IS NULL THEN
    RAISE EXCEPTION 'the role % may not be given', wanted_role USING ERRCODE = 'JT001';
  END IF;
  IF jit.why_not(wanted_role) IS NOT NULL THEN
    RAISE EXCEPTION 'the role % may not be given: %', wanted_role, jit.why_not(wanted_role)
      USING ERRCODE = 'JT001';
  END IF;
  IF deadline IS NULL OR NOT isfinite(deadline) OR deadline <= clock_timestamp() THEN
    RAISE EXCEPTION 'the deadline has passed or is none' USING ERRCODE = 'JT002';
  END IF;
  IF deadline > clock_timestamp() + at_most THEN
    RAISE EXCEPTION 'the role % may be given for % at most', wanted_role, at_most
      USING ERRCODE = 'JT002';
  END IF;
END $$;

-- Whether the role is one that jit.provision made: its comment says so, and only we write those.
CREATE OR REPLACE FUNCTION jit.role_given(wanted text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  note text;
BEGIN
  IF wanted !~ '^jit_[a-z0-9]{4,40}$' THEN
    RAISE EXCEPTION '% is no name of ours', wanted USING ERRCODE = 'JT003';
  END IF;
  SELECT shobj_description(oid, 'pg_authid') INTO note FROM pg_roles
  WHERE rolname = wanted::name AND NOT rolsuper;
  IF note IS NULL OR note !~ '^\{"jit": *1,' THEN
    RAISE EXCEPTION '% is not a role that was given here', wanted USING ERRCODE = 'JT003';
  END IF;
  RETURN note::json ->> 'role';
END $$;

CREATE OR REPLACE FUNCTION jit.provision(
  wanted text, verifier text, deadline timestamptz, member_of text, note text, at_once integer
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  verb text := 'CREATE';
  other text;
BEGIN
  PERFORM jit.check_deadline(deadline, member_of);
  -- Anything that is NULL makes this NULL, and so is refused.
  IF (
    wanted ~ '^jit_[a-z0-9]{4,40}$' AND at_once BETWEEN 1 AND 100
    AND verifier ~ '^SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+$'
    AND note ~ '^\{"jit": *1,' AND note::json ->> 'role' = member_of
  ) IS NOT TRUE THEN
    RAISE EXCEPTION 'the name, verifier, limit or comment is malformed' USING ERRCODE = 'JT003';
  END IF;
  -- Ours until the commit: jit.bury waits for it. Nobody but our owner can hold it.
  INSERT INTO jit.tombstone (name) VALUES (wanted) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RAISE EXCEPTION '% was revoked already; it is not given again', wanted USING ERRCODE = 'JT004';
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = wanted::name) THEN
    verb := 'ALTER';
    IF jit.role_given(wanted) IS DISTINCT FROM member_of THEN
      RAISE EXCEPTION '% is given for another role', wanted USING ERRCODE = 'JT003';
    END IF;
  END IF;
  -- NOINHERIT, and no default SET role: that is refused to a definer function. The credential
  -- carries options=-c role=… instead.
  EXECUTE format(
    '%s ROLE %I LOGIN NOINHERIT CONNECTION LIMIT %s PASSWORD %L VALID UNTIL %L',
    verb, wanted, at_once, verifier, deadline
  );
  EXECUTE format('COMMENT ON ROLE %I IS %L', wanted, note);
  EXECUTE format('GRANT %I TO %I', member_of, wanted);
  DELETE FROM jit.tombstone WHERE name = wanted;
END $$;

CREATE OR REPLACE FUNCTION jit.extend(wanted text, deadline timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM jit.check_deadline(deadline, jit.role_given(wanted));
  INSERT INTO jit.tombstone (name) VALUES (wanted) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RAISE EXCEPTION '% was revoked already', wanted USING ERRCODE = 'JT004';
  END IF;
  EXECUTE format('ALTER ROLE %I VALID UNTIL %L', wanted, deadline);
  DELETE FROM jit.tombstone WHERE name = wanted;
END $$;

-- What ends a role comes in calls of their own, each in its own transaction: what somebody else's
-- lock hinders, hinders none of the others.

-- Nobody gives these any more; whoever is giving one of them is waited for (lock_timeout).
CREATE OR REPLACE FUNCTION jit.bury(names text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO jit.tombstone (name) SELECT n FROM unnest(names) AS n
  WHERE n ~ '^jit_[a-z0-9]{4,40}$' ORDER BY 1 ON CONFLICT DO NOTHING;
  DELETE FROM jit.tombstone WHERE at < clock_timestamp() - interval '30 days'
    - (SELECT coalesce(max(longest), interval '0') FROM jit.allowed_role);
END $$;

CREATE OR REPLACE FUNCTION jit.neutralise(names text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  wanted text;
BEGIN
  PERFORM jit.role_given(rolname::text) FROM pg_roles WHERE rolname = ANY (names::name[]);
  FOR wanted IN SELECT rolname FROM pg_roles WHERE rolname = ANY (names::name[]) ORDER BY 1 LOOP
    EXECUTE format(
      'ALTER ROLE %I NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL VALID UNTIL ''-infinity''', wanted
    );
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION jit.withdraw(names text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  held text;
  members text;
BEGIN
  PERFORM jit.role_given(rolname::text) FROM pg_roles WHERE rolname = ANY (names::name[]);
  FOR held, members IN
    SELECT g.rolname, string_agg(quote_ident(r.rolname), ', ')
    FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
    WHERE r.rolname = ANY (names::name[]) AND NOT g.rolsuper GROUP BY 1
  LOOP
    EXECUTE format('REVOKE %I FROM %s', held, members);
  END LOOP;
END $$;

-- Lets nobody log in, and leaves all else as it is: ALTER ROLE … LOGIN undoes it.
CREATE OR REPLACE FUNCTION jit.suspend(names text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  wanted text;
BEGIN
  PERFORM jit.role_given(n) FROM unnest(names) AS n;
  FOR wanted IN SELECT rolname FROM pg_roles WHERE rolname = ANY (names::name[]) LOOP
    EXECUTE format('ALTER ROLE %I NOLOGIN', wanted);
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION jit.drop_roles(names text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  useless text;
  usable text;
BEGIN
  PERFORM jit.role_given(rolname::text) FROM pg_roles WHERE rolname = ANY (names::name[]);
  SELECT string_agg(quote_ident(rolname), ', ') FILTER (WHERE NOT rolcanlogin),
    string_agg(rolname, ', ') FILTER (WHERE rolcanlogin)
  INTO useless, usable FROM pg_roles WHERE rolname = ANY (names::name[]);
  IF usable IS NOT NULL THEN
    RAISE EXCEPTION '% is not neutralised yet', usable USING ERRCODE = 'JT005';
  END IF;
  IF useless IS NOT NULL THEN
    EXECUTE 'DROP ROLE ' || useless;
  END IF;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA jit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  jit.provision(text, text, timestamptz, text, text, integer),
  jit.extend(text, timestamptz),
  jit.bury(text[]),
  jit.neutralise(text[]),
  jit.withdraw(text[]),
  jit.suspend(text[]),
  jit.drop_roles(text[])
TO :"service";

RESET ROLE;
\if :lent
REVOKE :"definer" FROM CURRENT_USER;
\endif

COMMIT;

\ir postgresql_15_database.sql
