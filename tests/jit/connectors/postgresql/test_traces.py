"""What a person leaves behind on purpose, seen when their grant ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from jit.connectors.base import GrantSpec, Revoked
from tests.contracts.ground import until
from tests.contracts.postgresql import PostgreSQLGround

CHEST = "CREATE TABLE attic.chest (a int)"
SPRING = (
    "CREATE FUNCTION attic.spring() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
)
TRAP = (
    "CREATE TRIGGER trap BEFORE INSERT ON attic.chest FOR EACH ROW EXECUTE FUNCTION attic.spring()"
)


@contextmanager
def keeper_on(ground: PostgreSQLGround) -> Iterator[None]:
    """A role of its own to be left with things, which go with it."""
    run = ground.root.execute
    run("CREATE ROLE keeper; CREATE ROLE colleague")
    run("CREATE SCHEMA attic AUTHORIZATION keeper")
    if ground.version == "15":
        run("INSERT INTO jit.allowed_role VALUES ('keeper', '1 h')")
    else:
        run("GRANT keeper TO elevation_service WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
    yield
    ground.reset_roles()
    for (database,) in run("SELECT datname FROM pg_database WHERE datallowconn").fetchall():
        with psycopg.connect(ground.target.dsn(database), autocommit=True) as root:
            root.execute("DROP OWNED BY keeper, colleague CASCADE")
    run("DROP ROLE keeper, colleague")
    if ground.version == "15":
        run("DELETE FROM jit.allowed_role WHERE role = 'keeper'")


@pytest.fixture
def own(ground) -> Iterator[PostgreSQLGround]:
    with keeper_on(ground):
        yield ground


def databases_of(own: PostgreSQLGround) -> set[str]:
    """Return the databases of the server, which other tests share, but those that are templates."""
    rows = own.root.execute("SELECT datname FROM pg_database WHERE NOT datistemplate").fetchall()
    return {name for (name,) in rows}


def end(
    ground: PostgreSQLGround, *statements: str, before: tuple[str, ...] = (), **role: Any
) -> dict[str, Any]:
    """Give `keeper`, run the statements as the person, end the grant; return the evidence."""
    for statement in before:
        ground.root.execute(statement)
    with given(ground, **role) as (connector, spec, credential):
        if statements:
            with closing(ground.log_in(credential)) as session:
                for statement in statements:
                    session.connection.execute(statement)
        (answer,) = connector.revoke([spec])
    assert isinstance(answer, Revoked), answer
    return dict(answer.evidence)


@contextmanager
def given(ground: PostgreSQLGround, **role: Any) -> Iterator[tuple[Any, GrantSpec, Any]]:
    spec = replace(ground.spec(), role_config={"member_of": "keeper", **role})
    with closing(ground.connector(allowed_roles=["keeper"])) as connector:
        yield connector, spec, connector.provision(spec).credential


def _make_index(connection: psycopg.Connection[Any], how: list[str]) -> None:
    try:
        connection.execute("CREATE INDEX CONCURRENTLY half ON attic.chest (a)")
    except psycopg.Error as failure:
        how.append(type(failure).__name__)


class TestSuspicious:
    @pytest.mark.parametrize(
        ("statements", "said"),
        [
            (
                [
                    "CREATE VIEW attic.pane AS SELECT 1 AS one",
                    "GRANT SELECT ON attic.pane TO PUBLIC",
                ],
                "right given SELECT on view attic.pane to PUBLIC of keeper in postgres",
            ),
            (
                [
                    CHEST,
                    "GRANT SELECT (a) ON attic.chest TO colleague",
                ],
                "right given SELECT on column attic.chest.a to colleague of keeper in postgres",
            ),
            (
                ["GRANT CREATE, USAGE ON SCHEMA attic TO colleague"],
                "right given CREATE, USAGE on schema attic to colleague of keeper in postgres",
            ),
            (
                [
                    CHEST,
                    SPRING,
                    TRAP,
                ],
                "trigger trap on attic.chest of keeper in postgres",
            ),
            (
                [
                    CHEST,
                    "CREATE RULE twist AS ON INSERT TO attic.chest DO ALSO NOTHING",
                ],
                "rule twist on attic.chest of keeper in postgres",
            ),
            (
                [
                    CHEST,
                    "CREATE POLICY gap ON attic.chest TO colleague USING (true)",
                ],
                "row-level policy gap on attic.chest of keeper in postgres",
            ),
            (
                ["ALTER ROLE CURRENT_USER SET search_path = attic"],
                "settings search_path=attic of keeper",
            ),
            (
                ["SELECT lo_create(4243)", "GRANT SELECT ON LARGE OBJECT 4243 TO colleague"],
                "right given SELECT on large object 4243 to colleague of keeper in postgres",
            ),
        ],
    )
    def test_names_what_lends_rights_or_runs_by_itself(self, own, statements, said):
        assert said in end(own, *statements)["suspicious"]

    def test_names_a_right_given_on_with_its_grant_option(self, own):
        before = ("GRANT SELECT ON salaries TO keeper WITH GRANT OPTION",)
        evidence = end(own, "GRANT SELECT ON salaries TO colleague", before=before)
        said = "right given SELECT on table public.salaries to colleague of keeper in postgres"
        assert evidence["suspicious"] == [said]

    def test_names_a_publication(self, own):
        before = ("GRANT CREATE ON DATABASE postgres TO keeper",)
        evidence = end(own, "CREATE PUBLICATION leak", before=before)
        assert "new publication leak of keeper in postgres" in evidence["suspicious"]

    def test_names_foreign_servers_and_user_mappings(self, own):
        before = (
            "CREATE FOREIGN DATA WRAPPER far_away",
            "GRANT USAGE ON FOREIGN DATA WRAPPER far_away TO keeper",
        )
        try:
            evidence = end(
                own,
                "CREATE SERVER over_there FOREIGN DATA WRAPPER far_away",
                "CREATE USER MAPPING FOR keeper SERVER over_there",
                before=before,
            )
        finally:
            own.root.execute("DROP FOREIGN DATA WRAPPER far_away CASCADE")
        assert evidence["suspicious"] == [
            "new server over_there of keeper in postgres",
            "new user mapping for keeper on server over_there of keeper in postgres",
        ]

    def test_names_an_index_that_was_cut_while_it_was_made(self, own):
        """Two rows alike stand in for the cut: both leave the index INVALID."""
        evidence = end(
            own,
            "CREATE TABLE attic.chest AS SELECT 1 AS a FROM generate_series(1, 2)",
            "SET client_min_messages = error",
            before=("ALTER ROLE keeper SET application_name = 'before'",),
        )
        assert evidence["suspicious"] == []
        with given(own) as (connector, spec, credential):
            with closing(own.log_in(credential)) as session, suppress(psycopg.Error):
                session.connection.execute(
                    "CREATE UNIQUE INDEX CONCURRENTLY half ON attic.chest (a)"
                )
            (answer,) = connector.revoke([spec])
        (said,) = answer.evidence["suspicious"]
        assert said.startswith("invalid index attic.half on attic.chest")

    def test_names_an_index_whose_making_an_end_really_cut(self, own):
        with given(own) as (connector, spec, credential), ExitStack() as stack:
            session = stack.enter_context(closing(own.log_in(credential)))
            session.connection.execute(CHEST)
            writer = stack.enter_context(psycopg.connect(own.target.dsn()))
            writer.execute("INSERT INTO attic.chest VALUES (1)")  # whose end the making waits for
            made: list[str] = []
            making = threading.Thread(target=_make_index, args=(session.connection, made))
            making.start()
            waits = "SELECT phase FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'"
            assert until(lambda: bool(own.root.execute(waits).fetchall()))
            (answer,) = connector.revoke([spec])
            making.join(20)
            assert isinstance(answer, Revoked), answer
            assert made == ["AdminShutdown"]
            assert answer.evidence["connections_cut"] == 1
            (said,) = answer.evidence["suspicious"]
            assert said == (
                "invalid index attic.half on attic.chest (cut while it was made: drop it, or make"
                " it anew) of keeper in postgres"
            )

    def test_finds_nothing_that_was_there_before(self, own):
        before = (
            "CREATE TABLE attic.chest (a int); ALTER TABLE attic.chest OWNER TO keeper",
            "SET ROLE keeper; GRANT SELECT ON attic.chest TO PUBLIC; RESET ROLE",
            SPRING,
            TRAP,
            "ALTER ROLE keeper SET search_path = attic",
        )
        evidence = end(own, "INSERT INTO attic.chest VALUES (1)", before=before)
        assert evidence["suspicious"] == []
        assert "made" not in evidence


class TestMade:
    def test_names_everything_that_is_new(self, own):
        evidence = end(
            own,
            CHEST,
            "CREATE VIEW attic.pane AS SELECT 1 AS one",
            "CREATE FUNCTION attic.spring() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "SELECT lo_create(4243)",
        )
        assert evidence["made"] == [
            "new function attic.spring() of keeper in postgres",
            "new large object 4243 of keeper in postgres",
            "new table attic.chest of keeper in postgres",
            "new view attic.pane of keeper in postgres",
        ]


class TestNotKnown:
    def test_says_that_a_password_may_have_been_changed(self, own):
        own.root.execute("ALTER ROLE keeper LOGIN")
        (said,) = end(own, "ALTER ROLE CURRENT_USER PASSWORD 'x'")["not_known"]
        assert said.startswith(
            "whether the password of the role keeper, which can log in, was changed"
        )

    def test_says_which_databases_nobody_looked_into(self, own):
        (said,) = end(own)["not_looked_at"]
        others = sorted(databases_of(own) - {"postgres"})
        assert "warehouse" in others
        word = "database" if len(others) == 1 else "databases"
        assert said == f"the {word} {', '.join(others)}, to which keeper can connect"
        assert "not_looked_at" not in end(own, databases=[*others, "postgres"])

    def test_says_each_thing_once_however_many_there_are(self, own):
        names = [f"attic_{number:02d}" for number in range(12)]
        for name in names:
            own.root.execute(f"CREATE DATABASE {name}")
        own.root.execute("ALTER ROLE keeper LOGIN; ALTER ROLE colleague LOGIN")
        own.root.execute("GRANT colleague TO keeper")
        try:
            evidence = end(own)
        finally:
            for name in names:
                own.root.execute(f"DROP DATABASE {name} WITH (FORCE)")
        told, more = ", ".join(names[:10]), len(databases_of(own) - {"postgres"}) + 2
        assert evidence["not_looked_at"] == [
            f"the databases {told} and {more} more, to which keeper can connect"
        ]
        (said,) = evidence["not_known"]
        assert said.startswith("whether the password of the roles colleague, keeper, which can")

    def test_names_a_role_that_was_made_after_the_role_came_to_make_some(self, own):
        """Such a role is not given; it may have come to that since."""
        with given(own) as (connector, spec, credential):
            own.root.execute("ALTER ROLE keeper CREATEROLE")
            with closing(own.log_in(credential)) as session:
                session.connection.execute("CREATE ROLE left_over LOGIN")
            try:
                (answer,) = connector.revoke([spec])
            finally:
                own.root.execute("DROP ROLE left_over")
        said = {
            "15": "role left_over, new since then: made by whom is not recorded",
            "18": "role made left_over of keeper",
        }
        assert said[own.version] in answer.evidence["suspicious"]

    def test_names_the_slots_of_a_role_that_came_to_replicate(self, own):
        with given(own) as (connector, spec, credential):
            own.root.execute("ALTER ROLE keeper REPLICATION")
            with closing(own.log_in(credential)) as session:
                session.connection.execute("SELECT pg_create_physical_replication_slot('leak')")
            try:
                (answer,) = connector.revoke([spec])
            finally:
                own.root.execute("SELECT pg_drop_replication_slot('leak')")
        said = "replication slot leak: made by whom and when is not recorded"
        assert said in answer.evidence["suspicious"]


class TestHandover:
    def test_tells_what_was_dropped_from_what_was_handed_on(self, own):
        evidence = end(
            own,
            "SET ROLE NONE",
            "SELECT lo_create(4244)",
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        )
        own.root.execute("SELECT lo_unlink(4244)")
        assert evidence["reassigned"] == ["large object 4244 in postgres"]
        (dropped,) = evidence["dropped"]
        assert dropped.startswith("default privileges on new relations belonging to role jit_")

    def test_tells_of_a_policy_that_went_with_the_role_it_was_for(self, own):
        with given(own) as (connector, spec, _):
            own.root.execute(CHEST)
            own.root.execute("ALTER TABLE attic.chest OWNER TO elevation_escrow")
            for name, people in (("alone", ""), ("shared", ", colleague")):
                own.root.execute(
                    f"CREATE POLICY {name} ON attic.chest TO {spec.external_name}{people}"
                    " USING (true)"
                )
            (answer,) = connector.revoke([spec])
            own.root.execute("DROP TABLE attic.chest")
        assert isinstance(answer, Revoked), answer
        assert answer.evidence["dropped"] == ["policy alone on table attic.chest in postgres"]
        assert answer.evidence["rights_removed"] == [
            "policy shared on table attic.chest in postgres"
        ]
