-- Sets up a cluster of PostgreSQL 16 or later as a target. Run with psql, in the database that the
-- target's configuration names ("database"), by a superuser; or, on a managed service, by a role with
-- CREATEROLE, CREATE on that database, and ADMIN on pg_signal_backend and on the roles to be given:
--
--   psql -v roles=orders_ro,orders_rw -f postgresql_16_setup.sql
--   \password elevation_service
--
-- roles     what may be given, with commas between (required). Each must exist, and neither be nor
--           reach by membership a superuser or a role that may make roles, replicate, or act on the
--           server's machine
-- service   our service account           (elevation_service)
-- escrow    takes over what an ended role owned   (elevation_escrow)
--
-- makers    how many accounts the service account makes roles by   (16)
--
-- Running it again is harmless; running it with more roles adds them. No name may start with "jit_":
-- that is the mark of ephemeral roles, and what bears it is removed at its end.
--
-- What the service account can do afterwards: make roles; give and take the listed roles, which it
-- can neither use nor become; end the connections of roles that are no superusers. What it can not:
-- read a row of anybody's, or touch a role that it did not make or was not given ADMIN on.
--
-- Why makers: whoever makes a role has ADMIN on it, and each write to a role walks through all roles
-- that the writer has ADMIN on. Spread over makers, a thousand live grants stay cheap to write.
\set ON_ERROR_STOP on
\if :{?service} \else \set service elevation_service \endif
\if :{?escrow} \else \set escrow elevation_escrow \endif
\if :{?makers} \else \set makers 16 \endif
\if :{?roles}
\else
  \echo 'Say which roles may be given: -v roles=orders_ro,orders_rw'
  \quit 3
\endif

BEGIN;

CREATE SCHEMA IF NOT EXISTS jit;
REVOKE ALL ON SCHEMA jit FROM PUBLIC;
\ir postgresql_why_not.sql

SELECT format('CREATE ROLE %I NOLOGIN', :'escrow')
WHERE to_regrole(quote_ident(:'escrow')) IS NULL \gexec
SELECT format('CREATE ROLE %I LOGIN NOINHERIT CONNECTION LIMIT 40', :'service')
WHERE to_regrole(quote_ident(:'service')) IS NULL \gexec

SELECT format('CREATE ROLE %I NOLOGIN CREATEROLE', name)
FROM (SELECT format('%s_maker_%s', :'service', n) FROM generate_series(1, :makers) AS n) AS m (name)
WHERE to_regrole(quote_ident(name)) IS NULL \gexec
SELECT format('GRANT %I TO %I WITH ADMIN FALSE, INHERIT FALSE, SET TRUE', name, :'service')
FROM (SELECT format('%s_maker_%s', :'service', n) FROM generate_series(1, :makers) AS n) AS m (name)
\gexec

-- REASSIGN OWNED asks that the service account has the rights of the receiving role.
GRANT :"escrow" TO :"service" WITH ADMIN FALSE, INHERIT TRUE, SET TRUE;
-- Revoking a role ends no open session; ending its backend does.
GRANT pg_signal_backend TO :"service" WITH ADMIN FALSE, INHERIT TRUE, SET FALSE;

SELECT format('GRANT %I TO %I WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', trim(role), :'service')
FROM regexp_split_to_table(:'roles', ',') AS role \gexec

-- Lets the health check see whether pg_hba.conf lets anybody in without a password, past VALID UNTIL;
-- on a managed service nobody can give that, and the health check says what it doesn't know.
SELECT has_function_privilege('pg_hba_file_rules()', 'EXECUTE WITH GRANT OPTION')
  AND has_table_privilege('pg_hba_file_rules', 'SELECT WITH GRANT OPTION') AS hba \gset
\if :hba
GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO :"service";
GRANT SELECT ON pg_catalog.pg_hba_file_rules TO :"service";
\endif

GRANT USAGE ON SCHEMA jit TO :"service";
-- A provision that arrives after its revoke (a worker that was asleep) finds this and is refused.
CREATE TABLE IF NOT EXISTS jit.tombstone (
  name text PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS tombstone_at ON jit.tombstone (at);
REVOKE ALL ON jit.tombstone FROM PUBLIC;
GRANT SELECT, INSERT, DELETE ON jit.tombstone TO :"service";

COMMIT;
