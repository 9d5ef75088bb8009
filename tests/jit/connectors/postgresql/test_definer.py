"""Up to PostgreSQL 15: what the service account can and can't do with the shipped functions."""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest
from psycopg import errors

from jit.connectors.base import Refused
from tests.contracts.postgresql import SERVICE, SERVICE_PASSWORD

VERIFIER = "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"


@pytest.fixture
def service(ground15):
    with psycopg.connect(
        host=ground15.target.host,
        port=ground15.target.port,
        dbname="postgres",
        user=SERVICE,
        password=SERVICE_PASSWORD,
        autocommit=True,
    ) as connection:
        yield connection


def _provision(service, **changes):
    values = {
        "name": "jit_abcd",
        "verifier": VERIFIER,
        "deadline": dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1),
        "role": "app_rw",
        "note": '{"jit": 1, "role": "app_rw"}',
        "limit": 5,
    } | changes
    service.execute("SELECT jit.provision(%s, %s, %s, %s, %s, %s)", list(values.values()))


class TestProvision:
    def test_makes_a_role_from_a_sound_request(self, service, ground15):
        _provision(service)
        assert ground15.names() == {"jit_abcd"}

    @pytest.mark.parametrize(
        "wrong",
        [
            {"role": "payroll", "note": '{"jit": 1, "role": "payroll"}'},
            {"role": "pg_execute_server_program"},
            {"role": "postgres"},
            {"deadline": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)},
            {"deadline": dt.datetime(2999, 1, 1, tzinfo=dt.UTC)},
            {"deadline": None},
            {"name": "payroll"},
            {"name": "jit_x' SUPERUSER"},
            {"name": None},
            {"verifier": "plain"},
            {"verifier": None},
            {"verifier": VERIFIER + "' SUPERUSER PASSWORD 'x"},
            {"note": "no note of ours"},
            {"note": '{"jit": 1, "role": "app_ro"}'},
            {"note": None},
            {"limit": 0},
            {"limit": None},
        ],
    )
    def test_refuses_what_is_not_allowed(self, service, ground15, wrong):
        with pytest.raises(psycopg.Error) as refusal:
            _provision(service, **wrong)
        assert refusal.value.sqlstate[:2] == "JT", refusal.value
        assert not ground15.names()

    def test_refuses_longer_than_the_list_says_through_the_connector(self, ground15):
        with closing(ground15.connector()) as connector:
            with pytest.raises(Refused, match="may be given for 01:00:00 at most"):
                connector.provision(ground15.spec(seconds=3700))
            spec = ground15.spec()
            connector.provision(spec)
            with pytest.raises(Refused, match="at most"):
                connector.extend(replace(spec, ends_at=spec.ends_at + dt.timedelta(hours=1)))


class TestServiceAccount:
    @pytest.mark.parametrize(
        "forbidden",
        [
            "CREATE ROLE jit_own LOGIN",
            "ALTER ROLE payroll PASSWORD 'x'",
            "DROP ROLE payroll",
            "GRANT app_rw TO elevation_service",
            "GRANT pg_execute_server_program TO elevation_service",
            "SET ROLE elevation_definer",
            "SET ROLE elevation_escrow",
            "UPDATE jit.allowed_role SET longest = '1 year'",
            "DELETE FROM jit.tombstone",
            "SELECT jit.check_deadline(now(), 'app_rw')",
            "CREATE FUNCTION jit.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "TABLE salaries",
        ],
    )
    def test_can_do_nothing_but_call_the_functions(self, service, forbidden):
        with pytest.raises(errors.InsufficientPrivilege):
            service.execute(forbidden)

    @pytest.mark.parametrize(
        "call",
        [
            "SELECT jit.extend('payroll', now() + interval '1 minute')",
            "SELECT jit.neutralise(ARRAY['payroll'])",
            "SELECT jit.drop_roles(ARRAY['payroll'])",
            "SELECT jit.release_owned('payroll', 'elevation_escrow')",
            "SELECT jit.neutralise(ARRAY['postgres', 'elevation_definer'])",
        ],
    )
    def test_can_touch_no_role_that_was_not_given_here(self, service, ground15, call):
        with pytest.raises(psycopg.Error) as refusal:
            service.execute(call)
        assert refusal.value.sqlstate == "JT003"

    def test_can_not_drop_what_still_lets_somebody_in(self, service, ground15):
        _provision(service)
        with pytest.raises(psycopg.Error) as refusal:
            service.execute("SELECT jit.drop_roles(ARRAY['jit_abcd'])")
        assert refusal.value.sqlstate == "JT005"

    def test_can_hand_owned_things_to_the_escrow_role_alone(self, service):
        _provision(service)
        service.execute("SELECT jit.neutralise(ARRAY['jit_abcd'])")
        with pytest.raises(psycopg.Error) as refusal:
            service.execute("SELECT jit.release_owned('jit_abcd', 'payroll')")
        assert refusal.value.sqlstate == "JT003"
