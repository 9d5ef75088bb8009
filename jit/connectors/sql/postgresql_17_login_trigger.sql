-- Optional, PostgreSQL 17 and later: makes the deadline hold for every way of logging in.
--
-- VALID UNTIL is asked for by password log-ins alone: trust, peer, certificate, LDAP or Kerberos let
-- an expired role in. This event trigger asks again after any log-in. Run it by a superuser, with
-- psql, in every database that people may connect to:
--
--   psql -d orders -f postgresql_17_login_trigger.sql
--
-- It looks at roles named jit_… and at nobody else. Should it ever keep somebody out who must get
-- in, start the server with event_triggers=off (or connect with it: PGOPTIONS='-c event_triggers=off'
-- as a superuser) and DROP EVENT TRIGGER jit_login_deadline.
\set ON_ERROR_STOP on

BEGIN;

CREATE SCHEMA IF NOT EXISTS jit;

CREATE OR REPLACE FUNCTION jit.refuse_late_login()
RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF left(session_user, 4) <> 'jit_' THEN
    RETURN;
  END IF;
  IF NOT EXISTS (
    SELECT FROM pg_roles
    WHERE rolname = session_user AND rolcanlogin AND rolvaliduntil > clock_timestamp()
  ) THEN
    RAISE EXCEPTION 'the grant of % has ended', session_user
      USING ERRCODE = 'invalid_authorization_specification';
  END IF;
END $$;

-- Called by the server, whoever logs in; there is nothing in it to be had by calling it.
DROP EVENT TRIGGER IF EXISTS jit_login_deadline;
CREATE EVENT TRIGGER jit_login_deadline ON login EXECUTE FUNCTION jit.refuse_late_login();
ALTER EVENT TRIGGER jit_login_deadline ENABLE ALWAYS;

COMMIT;
