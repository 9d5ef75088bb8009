"""Connections to one cluster: kept for reuse, each statement through the door, errors named."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from jit import keepalive
from jit.connectors import watchdog
from jit.connectors.base import Ambiguous, ConnectorError, Context, Refused, Unreachable
from jit.connectors.postgresql.config import PostgreSQLConfig
from jit.connectors.secret_refs import SecretUnavailable

type Rows = list[dict[str, Any]]
type Statement = LiteralString | sql.SQL | sql.Composed

_KEPT = 8
_KEPT_SECONDS = 3
"""A database is renamed or dropped once nobody is connected to it, which is waited for for 5 s
(CountOtherDBBackends in the server's source): whoever does that must not fail because of us.
"""
_OPTIONS = (
    "-c search_path=pg_catalog,pg_temp -c datestyle=ISO -c timezone=UTC"
    " -c client_min_messages=error -c statement_timeout=60s"
    " -c idle_in_transaction_session_timeout=60s"
)
_NO_SUCH_FUNCTION = {"3F000", "42883"}
_FLUSHED: LiteralString = (
    "SELECT set_config('synchronous_commit', 'local', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)
"""What was seen gone must stay gone: else a crash of the target would bring a dropped role back."""


class Busy(Unreachable):
    """Somebody else holds what this one statement needs; the connection itself is well."""


class StillNeeded(Refused):
    """A role can't be dropped because objects or rights still depend on it (2BP01)."""

    permanent = False


def translate(error: psycopg.Error, *, step: str, committing: bool) -> ConnectorError:
    """Return what a driver's error means to the caller; never repeats the statement."""
    state = error.sqlstate or ""
    said = (error.diag.message_primary or str(error) or type(error).__name__).strip()
    text = f"{step}: {said}" + (f" ({state})" if state else "")
    if not state or state[:2] == "08" or state in {"57P01", "57P02", "57P03", "57P05", "25P03"}:
        return Ambiguous(text) if committing else Unreachable(text)
    if state in {"55P03", "57014", "40001", "40P01", "55006", "XX000", "23505", "42710"}:
        # The last two: somebody wrote the same name at this moment.
        return Busy(text)
    if state == "2BP01":
        depends = (error.diag.message_detail or "").splitlines()
        said = f"{text}: {'; '.join(depends[:5])}" if depends else text
        return StillNeeded(said, evidence={"dependents": depends})
    if state[:2] == "53" or state == "25006":
        return Unreachable(text)
    return Refused(text)


@dataclass
class Wire:
    """A borrowed connection. In autocommit: transactions are begun and committed by name."""

    connection: psycopg.Connection[dict[str, Any]]
    context: Context

    @property
    def version(self) -> int:
        """The server's version as libpq counts it (180006)."""
        return self.connection.info.server_version

    def ask(
        self,
        step: str,
        statement: Statement,
        values: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        committing: bool = False,
    ) -> Rows:
        """Return the rows of the last of the statements. Raises ConnectorError."""

        def talk() -> Rows:
            try:
                cursor = self.connection.execute(statement, values)
                while cursor.nextset():
                    pass
                return [] if cursor.rownumber is None else cursor.fetchall()
            except psycopg.Error as error:
                raise self._named(
                    translate(error, step=step, committing=committing), error
                ) from None

        return self.context.call(step, talk, abort=self._abort)

    def begin(self, step: str, statement: sql.Composed, *, lock_seconds: float) -> Rows:
        """Begin a transaction that ends itself on the server in time, with its first statement."""
        return self.ask(step, self._limits(lock_seconds) + statement)

    def transact(
        self, step: str, statements: Sequence[sql.Composed], *, lock_seconds: float
    ) -> None:
        """Do all of these or none, in one message. Raises Busy where one waits for a lock for
        longer than `lock_seconds`, and Ambiguous when the answer is lost.
        """
        script = sql.SQL("; ").join([*statements, sql.SQL("COMMIT").format()])
        self.ask(step, self._limits(lock_seconds) + script, committing=True)

    def _limits(self, lock_seconds: float) -> sql.Composed:
        return sql.SQL(
            "BEGIN; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; "
        ).format(
            sql.Literal(max(1, int(self.context.timeout_seconds * 900))),
            sql.Literal(max(1, int(lock_seconds * 1000))),
        )

    def commit(self, step: str) -> None:
        """Commit. Raises Ambiguous when the answer is lost."""
        self.ask(step, "COMMIT", committing=True)

    def _named(self, failure: ConnectorError, error: psycopg.Error) -> ConnectorError:
        """Return the failure; one for want of our functions says where, and what to do."""
        if error.sqlstate in _NO_SUCH_FUNCTION and "jit" in failure.detail:
            failure.detail += (
                f"; our functions are missing in the database {self.connection.info.dbname}: run "
                "postgresql_15_database.sql there"
            )
        return failure

    def _abort(self) -> None:
        """Break the connection from another thread: whoever waits on it gets an error."""
        with contextlib.suppress(OSError, psycopg.Error):
            twin = socket.socket(fileno=os.dup(self.connection.fileno()))
            with twin:
                twin.shutdown(socket.SHUT_RDWR)


class Wires:
    """The connections to one cluster. A few to the configured database are kept open, for a
    moment; those to others end with their use. Thread-safe; a forked child starts with none.
    `replicas` has those to the standbys that the configuration names, by `host:port`.
    """

    def __init__(self, config: PostgreSQLConfig) -> None:
        self._config = config
        self.replicas: dict[str, Wires] = {
            f"{each.host}:{each.port}": Wires(
                config.model_copy(update={"host": each.host, "port": each.port, "replicas": ()})
            )
            for each in config.replicas
        }
        self._lock = threading.Lock()
        self._closed = False
        self._afresh()

    def _afresh(self) -> None:
        self._idle: list[tuple[float, psycopg.Connection[dict[str, Any]]]] = []
        self._call_off: Callable[[], None] | None = None
        self._owner = os.getpid()

    @contextlib.contextmanager
    def borrow(self, context: Context, *, database: str | None = None) -> Iterator[Wire]:
        """Lend a connection. After any error it is closed, so the server rolls back and the
        next borrower finds nothing half-done. Where the line itself failed, those that are kept
        go too: what lost one (a firewall, a failover) lost all, and each would cost its own wait.
        """
        name = database or self._config.database
        keep = name == self._config.database
        self._leave_the_parents()
        connection = (self._take() if keep else None) or self._connect(context, name)
        try:
            yield Wire(connection, context)
        except BaseException as failure:
            connection.close()
            if isinstance(failure, (Unreachable, Ambiguous)) and not isinstance(failure, Busy):
                self._forget()
            raise
        if not (keep and self._keep(connection)):
            connection.close()

    def close(self) -> None:
        self._closed = True
        self._forget()
        for wires in self.replicas.values():
            wires.close()

    def _forget(self, *, idle_for: float = 0) -> None:
        """Close what is kept and was not used for so many seconds."""
        until = time.monotonic() - idle_for
        with self._lock:
            if self._call_off:
                self._call_off()
                self._call_off = None
            gone = [connection for since, connection in self._idle if since <= until]
            self._idle = [kept for kept in self._idle if kept[0] > until]
            self._watch()
        for connection in gone:
            connection.close()

    def __del__(self) -> None:
        if self._owner == os.getpid():
            self.close()

    def _leave_the_parents(self) -> None:
        """Start afresh in a forked child: closing its parent's sockets would speak on them."""
        with self._lock:
            if self._owner != os.getpid():
                _INHERITED.append(self._idle)
                self._afresh()

    def _take(self) -> psycopg.Connection[dict[str, Any]] | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                _, connection = self._idle.pop()
            if _is_quiet(connection):
                return connection
            connection.close()

    def _keep(self, connection: psycopg.Connection[dict[str, Any]]) -> bool:
        """Keep the connection for whoever needs one next, unless it or we have had our time."""
        with self._lock:
            keeps = (
                not connection.closed
                and connection.info.transaction_status == TransactionStatus.IDLE
                and not self._closed
                and len(self._idle) < _KEPT
            )
            if keeps:
                self._idle.append((time.monotonic(), connection))
                self._watch()
            return keeps

    def _watch(self) -> None:
        """Have what is kept looked through when the oldest has had its time."""
        if self._idle and not self._call_off:
            forget = weakref.WeakMethod(self._forget)
            due = self._idle[0][0] + _KEPT_SECONDS - time.monotonic()
            self._call_off = watchdog.watch(max(due, 0), lambda: _close_idle(forget))

    def _connect(self, context: Context, database: str) -> psycopg.Connection[dict[str, Any]]:
        made: list[psycopg.Connection[dict[str, Any]]] = []

        def talk() -> None:
            config = self._config
            try:
                optional: dict[str, Any] = dict(keepalive.LIBPQ)
                if config.sslrootcert:
                    optional["sslrootcert"] = config.sslrootcert
                if config.require_auth != "any":
                    optional["require_auth"] = config.require_auth
                connection = psycopg.Connection[dict[str, Any]].connect(
                    host=config.host,
                    port=config.port,
                    dbname=database,
                    user=config.user,
                    password=context.secret(config.password).get_secret_value(),
                    sslmode=config.ssl,
                    connect_timeout=config.connect_timeout,
                    application_name="jit connector",
                    options=_OPTIONS,
                    autocommit=True,
                    row_factory=dict_row,
                    prepare_threshold=None,
                    **optional,
                )
                made.append(connection)
                connection.execute(_FLUSHED)
            except SecretUnavailable as missing:
                raise Unreachable(f"connect: {missing}") from None
            except psycopg.Error as error:
                raise Unreachable(f"connect: {str(error).strip()}") from None

        try:
            # libpq ends the attempt itself after connect_timeout.
            context.call("connect", talk, abort=lambda: None)
        except BaseException:
            for connection in made:
                connection.close()
            raise
        return made[0]


def _close_idle(forget: weakref.WeakMethod[Any]) -> None:
    if method := forget():
        method(idle_for=_KEPT_SECONDS)


_INHERITED: list[Any] = []
"""Keeps a forked child from closing, by garbage collection, what its parent still uses."""


def _is_quiet(connection: psycopg.Connection[Any]) -> bool:
    """Return whether an idle connection is alive: a server that went away left words or an
    end-of-file to read.
    """
    try:
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN | select.POLLERR | select.POLLHUP)
        return not poller.poll(0)
    except (OSError, psycopg.Error):
        return False
