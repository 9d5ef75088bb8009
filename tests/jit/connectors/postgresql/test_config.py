from __future__ import annotations

import shlex

import pytest
from psycopg.conninfo import conninfo_to_dict

from jit.connectors.base import InvalidConfig
from jit.connectors.postgresql.config import PostgreSQLConfig, PostgreSQLRole, psql_line

GOOD = {
    "host": "db.example.org",
    "user": "elevation_service",
    "password": "env:JIT_TARGET_X",
    "allowed_roles": ["app_rw"],
}


class TestPostgreSQLConfig:
    def test_needs_little(self):
        config = PostgreSQLConfig.parse(GOOD)
        assert (config.port, config.database, config.escrow_role) == (
            5432,
            "postgres",
            "elevation_escrow",
        )

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"host": ""}, "host"),
            ({"host": "a,b"}, "host"),
            ({"port": 65536}, "port"),
            ({"port": "many"}, "port"),
            ({"user": "jit_service"}, "user"),
            ({"escrow_role": "jit_escrow"}, "escrow_role"),
            ({"password": "hunter2"}, "password"),
            ({"password": "vault:a"}, "password"),
            ({"allowed_roles": []}, "allowed_roles"),
            ({"allowed_roles": ["pg_execute_server_program"]}, "allowed_roles.0"),
            ({"allowed_roles": ["elevation_service"]}, "config"),
            ({"sslmode": "allow"}, "sslmode"),
            ({"sslrootcert": "relative.pem"}, "sslrootcert"),
            ({"connect_timeout": 0}, "connect_timeout"),
            ({"pasword": "env:JIT_TARGET_X"}, "pasword"),
            ({"database": "a\0b"}, "database"),
        ],
    )
    def test_refuses_what_can_not_work_and_names_the_field(self, change, field):
        with pytest.raises(InvalidConfig) as refusal:
            PostgreSQLConfig.parse(GOOD | change)
        assert next(iter(refusal.value.fields)) == field
        assert "hunter2" not in refusal.value.detail

    @pytest.mark.parametrize("missing", sorted(GOOD))
    def test_says_what_is_missing(self, missing):
        with pytest.raises(InvalidConfig) as refusal:
            PostgreSQLConfig.parse({key: GOOD[key] for key in GOOD if key != missing})
        assert list(refusal.value.fields) == [missing]

    @pytest.mark.parametrize(
        ("host", "ssl"),
        [
            ("db.example.org", "verify-full"),
            ("10.0.0.1", "verify-full"),
            ("127.0.0.1", "prefer"),
            ("::1", "prefer"),
            ("localhost", "prefer"),
            ("/run/postgresql", "prefer"),
        ],
    )
    def test_verifies_whom_it_talks_to_unless_told_otherwise(self, host, ssl):
        assert PostgreSQLConfig.parse(GOOD | {"host": host}).ssl == ssl
        assert PostgreSQLConfig.parse(GOOD | {"host": host, "sslmode": "require"}).ssl == "require"


class TestPostgreSQLRole:
    @pytest.mark.parametrize(
        "config", [{}, {"member_of": ""}, {"member_of": "jit_x"}, {"member_of": "a", "x": 1}]
    )
    def test_refuses_what_is_no_role(self, config):
        with pytest.raises(InvalidConfig):
            PostgreSQLRole.parse(config)


class TestPsqlLine:
    @pytest.mark.parametrize("database", ["orders", "two words", "it's", 'a"b', "a\\b", "$(id)"])
    def test_survives_the_shell_and_libpq(self, database):
        line = psql_line(
            host="db.example.org",
            port=5433,
            database=database,
            user="jit_1234",
            ssl="require",
            options="-c role=app_rw",
        )
        program, conninfo = shlex.split(line)
        assert program == "psql"
        assert conninfo_to_dict(conninfo) == {
            "host": "db.example.org",
            "port": "5433",
            "dbname": database,
            "user": "jit_1234",
            "sslmode": "require",
            "options": "-c role=app_rw",
        }
