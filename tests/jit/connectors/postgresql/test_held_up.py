"""Locks that others hold on the target: they delay no cut, and are named where they hinder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace

import psycopg
import pytest
from psycopg import sql

from jit.connectors.base import Ambiguous, ConnectorError, Context, Residue, Revoked, Unreachable
from tests.contracts.crashes import Crash
from tests.contracts.postgresql import PostgreSQLGround, PsqlSession

LOCK = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"


@dataclass
class Live:
    """A grant in use: directly, at the target's own port."""

    ground: PostgreSQLGround
    spec: object
    credential: dict
    session: PsqlSession

    def other(self) -> PsqlSession:
        """Return one more session of the same person."""
        made = self.ground.log_in(self.credential)
        assert made
        return made

    def as_itself(self) -> None:
        self.session.connection.execute("SET ROLE NONE")


@pytest.fixture
def live(ground, connector) -> Iterator[Live]:
    spec = ground.spec()
    credential = dict(connector.provision(spec).credential)
    with closing(ground.log_in(credential)) as session:
        yield Live(ground, spec, credential, session)


@contextmanager
def colleague(ground: PostgreSQLGround) -> Iterator[psycopg.Connection]:
    """A standing login that may do nothing but connect."""
    ground.root.execute("CREATE ROLE colleague LOGIN PASSWORD 'theirs'")
    try:
        dsn = ground.target.dsn().replace("user=postgres", "user=colleague")
        dsn = dsn.replace(f"password={ground.target.password}", "password=theirs")
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield connection
    finally:
        ground.root.execute("DROP ROLE colleague")


@contextmanager
def dbas_open_transaction(ground: PostgreSQLGround, statement: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(ground.target.dsn()) as dba:
        dba.execute(statement)
        yield dba
        dba.rollback()


@contextmanager
def prepared(session: PsqlSession, ground: PostgreSQLGround, *statements: str) -> Iterator[str]:
    """What the person prepares and leaves behind; rolled back at the end."""
    run = session.connection.execute
    run("SET ROLE NONE")
    run("BEGIN")
    for statement in statements:
        run(statement)
    run("PREPARE TRANSACTION 'left_behind'")
    try:
        yield "left_behind"
    finally:
        with suppress(psycopg.errors.UndefinedObject):
            ground.root.execute("ROLLBACK PREPARED 'left_behind'")


def answer_of(connector, spec):
    (answer,) = connector.revoke([spec])
    return answer


def assert_cut(live: Live, *sessions: PsqlSession) -> None:
    assert not any(session.works() for session in (live.session, *sessions))
    assert not live.ground.lets_in(live.credential)


class TestCut:
    def test_a_person_who_holds_an_advisory_lock_is_cut(self, live, connector):
        live.session.connection.execute(LOCK, [live.spec.external_name])
        answer = answer_of(connector, live.spec)
        assert_cut(live)
        assert isinstance(answer, Revoked), answer
        assert answer.evidence["connections_cut"] == 1

    def test_a_strangers_advisory_lock_holds_up_nobody(self, live, ground, connector):
        with colleague(ground) as stranger:
            stranger.execute(LOCK, [live.spec.external_name])
            answer = answer_of(connector, live.spec)
            assert_cut(live)
            assert isinstance(answer, Revoked), answer
            other = ground.spec()
            stranger.execute(LOCK, [other.external_name])
            assert ground.lets_in(connector.provision(other).credential)

    def test_a_persons_open_change_of_their_password_holds_up_nothing(self, live, connector):
        with closing(live.other()) as writing:
            live.as_itself()
            name = sql.Identifier(live.spec.external_name)
            live.session.connection.execute("BEGIN")
            live.session.connection.execute(sql.SQL("ALTER ROLE {} PASSWORD 'x'").format(name))
            answer = answer_of(connector, live.spec)
            assert_cut(live, writing)
        assert isinstance(answer, Revoked), answer
        assert answer.evidence["connections_cut"] == 2

    def test_a_dbas_open_grant_of_the_role_holds_up_nothing(self, live, ground, connector):
        with dbas_open_transaction(ground, "GRANT app_rw TO payroll"):
            answer = answer_of(connector, live.spec)
            assert_cut(live)
            assert isinstance(answer, Revoked), answer
        assert not ground.names()

    def test_every_live_grant_is_cut_before_one_that_is_held_up_is_waited_for(self, ground):
        """The first of the batch can't be neutralised; the last must not notice."""
        with ExitStack() as stack:
            connector = stack.enter_context(closing(ground.connector()))
            specs = sorted((ground.spec() for _ in range(3)), key=lambda s: s.external_name)
            lives = []
            for spec in specs:
                credential = dict(connector.provision(spec).credential)
                session = stack.enter_context(closing(ground.log_in(credential)))
                lives.append(Live(ground, spec, credential, session))
            cut_at = []

            def interfere(step, moment):
                if step == "neutralise" and not cut_at:
                    cut_at.append([one.session.works() for one in lives])

            meddled = stack.enter_context(closing(ground.connector(Context(interfere=interfere))))
            second = stack.enter_context(closing(lives[0].other()))
            change = f"ALTER ROLE {specs[0].external_name} PASSWORD 'x'"
            stack.enter_context(prepared(second, ground, change))
            held, *free = meddled.revoke(specs)
            assert cut_at == [[False, False, False]]
            assert all(isinstance(answer, Revoked) for answer in free), free
            assert isinstance(held, ConnectorError)
            assert not held.permanent
            assert "left_behind" in held.detail
            for one in lives[1:]:
                assert_cut(one)
            assert not lives[0].session.works()

    def test_who_can_still_log_in_has_no_membership_left(self, live, ground, connector):
        """NOLOGIN is held up for good, so what can be taken apart from it is."""
        name = live.spec.external_name
        with prepared(live.session, ground, f"ALTER ROLE {name} PASSWORD 'x'"):
            answer = answer_of(connector, live.spec)
            assert isinstance(answer, ConnectorError)
            assert answer.evidence["neutralised"] is False
            assert answer.evidence["member_of"] == []
            session = ground.log_in(live.credential)
            if session:  # as itself, which may do nothing
                with closing(session):
                    assert not session.works()
        assert isinstance(answer_of(connector, live.spec), Revoked)


class TestResidue:
    def test_a_prepared_transaction_is_named_and_fails_no_neighbour(self, live, ground, connector):
        """Once answered "no answer within 10 s", for ever, and for its whole batch."""
        neighbours = [ground.spec() for _ in range(3)]
        for spec in neighbours[:2]:
            connector.provision(spec)
        with prepared(live.session, ground, "SELECT lo_from_bytea(0, 'x')"):
            held, *free = connector.revoke([live.spec, *neighbours])
            assert isinstance(held, Residue), held
            assert "left_behind" in held.detail
            assert held.evidence["neutralised"] is True
            assert held.evidence["connections_found"] == 0
            assert any("left_behind" in holder for holder in held.evidence["blocked_by"])
            assert all(isinstance(answer, Revoked) for answer in free), free
            assert_cut(live)
        assert isinstance(answer_of(connector, live.spec), Revoked)
        assert not ground.names()

    def test_whoever_locks_what_the_role_owns_is_named(self, live, ground, connector):
        live.as_itself()
        with psycopg.connect(ground.target.dsn("warehouse"), autocommit=True) as root:
            session = ground.log_in(live.credential, database="warehouse")
            with closing(session):
                session.connection.execute("SET ROLE NONE; CREATE TABLE kept (number int)")
            try:
                with root.transaction():
                    root.execute("LOCK TABLE public.kept IN ACCESS SHARE MODE")
                    answer = answer_of(connector, live.spec)
                    assert isinstance(answer, Residue), answer
                    (holder,) = answer.evidence["blocked_by"]
                    assert f"pid {root.info.backend_pid}" in holder
                    assert "postgres" in holder
                    assert "warehouse" in holder
                    assert "reassigned" not in answer.evidence
                    assert_cut(live)
                answer = answer_of(connector, live.spec)
                assert isinstance(answer, Revoked), answer
                assert answer.evidence["reassigned"] == ["table public.kept in warehouse"]
            finally:
                root.execute("DROP TABLE public.kept")


class TestProvision:
    def test_is_whole_or_not_at_all_whatever_is_held(self, ground18):
        """Since 16 an open GRANT of the role holds up the membership, which is written last."""
        with closing(ground18.connector()) as connector:
            spec = ground18.spec()
            with dbas_open_transaction(ground18, "GRANT app_rw TO payroll") as dba:
                with pytest.raises(Unreachable, match=f"pid {dba.info.backend_pid}") as held_up:
                    connector.provision(spec)
                assert not held_up.value.permanent
                assert not ground18.names()
            assert ground18.lets_in(connector.provision(spec).credential)

    def test_that_is_under_way_is_waited_for_by_a_revocation(self, ground):
        """What is being given has no name yet that could be seen."""
        with closing(ground.connector(Context(timeout_seconds=1))) as connector:
            busy, free = ground.spec(), ground.spec()
            connector.provision(free)
            with ground.root.transaction(force_rollback=True):
                ground.root.execute(
                    "INSERT INTO jit.tombstone (name) VALUES (%s)", [busy.external_name]
                )
                first, second = connector.revoke([busy, free])
            assert isinstance(first, (Unreachable, Ambiguous)), first
            assert isinstance(second, Revoked)
            assert isinstance(answer_of(connector, busy), Revoked)

    def test_without_our_schema_one_that_is_under_way_is_waited_for_too(self, ground18):
        run = ground18.root.execute
        run("ALTER TABLE jit.tombstone RENAME TO elsewhere")
        try:
            with closing(ground18.connector(Context(timeout_seconds=1))) as connector:
                spec = ground18.spec()
                with ground18.root.transaction(force_rollback=True):
                    run(sql.SQL("CREATE ROLE {}").format(sql.Identifier(spec.external_name)))
                    answer = answer_of(connector, spec)
                    assert isinstance(answer, (Unreachable, Ambiguous)), answer
                assert isinstance(answer_of(connector, spec), Revoked)
                connector.provision(spec)
                assert isinstance(answer_of(connector, spec), Revoked)
        finally:
            run("ALTER TABLE jit.elsewhere RENAME TO tombstone")


class TestLockOfTheTarget:
    def test_nobody_but_us_can_hold_what_keeps_our_workers_apart(self, live, ground):
        for statement in (
            "LOCK TABLE jit.tombstone IN ACCESS SHARE MODE",
            "SELECT * FROM jit.tombstone FOR KEY SHARE",
            "INSERT INTO jit.tombstone (name) VALUES ('jit_abcd')",
        ):
            connection = live.session.connection
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement)


class TestRemember:
    def test_what_a_step_takes_from_sight_is_committed_before_it(self, live, ground):
        kept = []

        def interfere(step, moment):
            if step == "release owned":
                raise Crash(f"{moment} {step}")

        live.session.connection.execute("SET ROLE NONE; SELECT lo_create(0)")
        context = Context(keep=kept.append, interfere=interfere)
        with closing(ground.connector(context)) as dying, pytest.raises(Crash):
            dying.revoke([live.spec])
        known = kept[-1][live.spec.external_name]
        assert known["connections_cut"] == 1
        assert known["memberships_removed"] == ["app_rw"]
        (large,) = known["handed_over"]
        assert large.startswith("large object ")
        with closing(ground.connector()) as connector:
            answer = answer_of(connector, replace(live.spec, earlier=known))
        assert isinstance(answer, Revoked)
        ground.root.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
