-- The two database roles of the application. Run once in its database by a superuser, before
-- the first migration; running it again changes nothing. Any client will do (no psql commands).
--
--   jit_owner  owns the tables and runs migrations (DATABASE_OWNER_URL)
--   jit_app    what web, workers and beat connect as (DATABASE_URL): it reads and writes rows
--              and owns nothing, so it can neither drop the audit log's triggers nor truncate.
--
-- Set their passwords afterwards:  ALTER ROLE jit_owner PASSWORD '…'; ALTER ROLE jit_app PASSWORD '…';
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'jit_owner') THEN
        CREATE ROLE jit_owner LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'jit_app') THEN
        CREATE ROLE jit_app LOGIN;
    END IF;
    -- CREATE lets jit_owner install the trusted extensions that migrations ask for.
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO jit_owner', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO jit_app', current_database());
END
$$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO jit_owner;
GRANT USAGE ON SCHEMA public TO jit_app;
ALTER DEFAULT PRIVILEGES FOR ROLE jit_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO jit_app;
ALTER DEFAULT PRIVILEGES FOR ROLE jit_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO jit_app;
ALTER DEFAULT PRIVILEGES FOR ROLE jit_owner IN SCHEMA public
    GRANT EXECUTE ON FUNCTIONS TO jit_app;
-- A process that is frozen or cut off in a transaction does not keep its locks for longer, and one
-- that is gone is noticed as soon. The application asks for the same when it connects
-- (jit/keepalive.py); a pooler between them may drop what it asks.
ALTER ROLE jit_owner SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE jit_owner SET tcp_keepalives_idle = 5;
ALTER ROLE jit_owner SET tcp_keepalives_interval = 2;
ALTER ROLE jit_owner SET tcp_keepalives_count = 3;
ALTER ROLE jit_owner SET tcp_user_timeout = 10000;
ALTER ROLE jit_app SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE jit_app SET tcp_keepalives_idle = 5;
ALTER ROLE jit_app SET tcp_keepalives_interval = 2;
ALTER ROLE jit_app SET tcp_keepalives_count = 3;
ALTER ROLE jit_app SET tcp_user_timeout = 10000;
