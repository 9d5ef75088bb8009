"""What a person may have left behind: what the role that they became owns, gave and set since.

Nothing of this is removed: it may be a migration that somebody was meant to run. It goes into the
evidence: `suspicious` is what lends rights to others or runs by itself, `made` what else is new,
`not_known` what a server shows to nobody, `not_looked_at` where nobody looked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from jit.connectors.base import ConnectorError
from jit.connectors.postgresql import reach, trace_queries
from jit.connectors.postgresql.reach import Reached
from jit.connectors.postgresql.wire import Rows, Wire

MOST_NAMED = 10
"""Names in one sentence of what is not known, or was not looked at."""

type Finds = dict[str, list[str]]
"""Sentences by the key of the evidence that they belong to."""


@dataclass(frozen=True, slots=True)
class Period:
    """Whose traces to look for: the ephemeral role `name` (its `numbers`, where known) and the
    `role` it became; since when: the transaction that gave it; and the `databases` looked in.
    """

    name: str
    role: str
    since_xid: str
    databases: Collection[str]
    numbers: Collection[int] = ()


class _Look:
    """What is known beforehand: the roles that each period's person could act as."""

    def __init__(self, periods: Collection[Period], reached: Collection[Reached]) -> None:
        self.periods = periods
        self.reached: dict[str, list[Reached]] = {}
        for each in reached:
            self.reached.setdefault(each.root, []).append(each)
        self._of: dict[str, list[Period]] = {}
        for period in periods:
            for owner in {period.name, *(each.name for each in self.reached.get(period.role, ()))}:
                self._of.setdefault(owner, []).append(period)
        self.finds: dict[str, Finds] = {}

    def can(self, period: Period, *attributes: str) -> bool:
        return any(getattr(r, a) for r in self.reached.get(period.role, ()) for a in attributes)

    def owners(self) -> list[str]:
        return sorted(self._of)

    def add(self, period: Period, key: str, text: str) -> None:
        texts = self.finds.setdefault(period.name, {}).setdefault(key, [])
        if text not in texts:
            texts.append(text)

    def add_rows(self, rows: Rows, *, where: str) -> None:
        """Add each find to the periods that it falls into, of those whose role it is."""
        began = {row["what"]: row["age"] for row in rows if row["kind"] is None}
        for row in (row for row in rows if row["kind"]):
            text = f"{row['kind']} {row['what']} of {row['owner']}{where}"
            for period in self._of.get(row["owner"], ()):
                if row["age"] <= began[period.since_xid]:
                    self.add(period, row["key"], text)

    def sorted(self) -> dict[str, Finds]:
        return {
            name: {key: sorted(texts) for key, texts in finds.items()}
            for name, finds in self.finds.items()
        }


def left_behind(wire: Wire, periods: Collection[Period], *, cluster: bool) -> dict[str, Finds]:
    """Return for each period's name what was left in the connected database since then, and in
    what belongs to the whole `cluster` if that is asked for. Overlapping grants of one role share
    the finds. Raises ConnectorError.
    """
    look = _Look(periods, reach.reached_from(wire, {period.role for period in periods}))
    database = wire.connection.info.dbname
    look.add_rows(_ask(wire, look, trace_queries.IN_DATABASE), where=f" in {database}")
    _look_at_jobs(wire, look)
    if cluster:
        rows = _ask(wire, look, trace_queries.in_cluster(wire.version))
        look.add_rows([row for row in rows if row["key"] != "elsewhere"], where="")
        _say_what_is_not_known(wire, look, [row for row in rows if row["key"] == "elsewhere"])
    return look.sorted()


def _ask(wire: Wire, look: _Look, query: sql.SQL) -> Rows:
    xids = sorted({period.since_xid for period in look.periods})
    return wire.ask(
        "look for traces",
        query.format(xids=sql.Literal(xids), owners=sql.Literal(look.owners())),
    )


def _look_at_jobs(wire: Wire, look: _Look) -> None:
    """Look at what pg_cron runs from this database, which shows each role its own jobs alone."""
    if not wire.ask("look for pg_cron", trace_queries.HAS_CRON):
        return
    database = wire.connection.info.dbname
    try:
        rows = _ask(wire, look, trace_queries.JOBS)
        sees_all = bool(wire.ask("ask who sees jobs", trace_queries.SEES_JOBS)[0]["yes"])
    except ConnectorError as unseen:
        if not unseen.permanent:
            raise
        rows, sees_all = [], False
    look.add_rows(rows, where=f" in {database}")
    if not sees_all:
        for period in look.periods:
            said = (
                f"whether {period.role} has jobs of pg_cron in {database}: only its own are shown"
            )
            look.add(period, "not_known", said)


def _say_what_is_not_known(wire: Wire, look: _Look, elsewhere: Rows) -> None:
    for period in look.periods:
        for said in _nobody_knows(look.reached.get(period.role, ())):
            look.add(period, "not_known", said)
        places = {row["what"]: row["age"] for row in elsewhere if row["owner"] == period.role}
        unseen = sorted(place for place in places if place not in period.databases)
        if unseen:
            said = f"{_named('the database', unseen)}, to which {period.role} can connect"
            look.add(period, "not_looked_at", said)
        for said in _made_by_whom(wire, look, period):
            look.add(period, "suspicious", said)


def _nobody_knows(reached: Collection[Reached]) -> Iterator[str]:
    if supers := sorted(each.name for each in reached if each.super):
        yield f"what was done as {_named('the superuser', supers)}"
    if logins := sorted(each.name for each in reached if each.login and not each.super):
        yield (
            f"whether the password of {_named('the role', logins)}, which can log in, was changed:"
            " no server shows it; set it anew if in doubt"
        )


def _named(what: str, names: Sequence[str]) -> str:
    """Return these names behind what they are: those of many are a list of some and a number."""
    if not names[1:]:
        return f"{what} {names[0]}"
    more = len(names) - MOST_NAMED
    told = ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{what}s {told}"


def _made_by_whom(wire: Wire, look: _Look, period: Period) -> Iterable[str]:
    """Yield what the role could have made and of which nobody records who did."""
    if look.can(period, "replication", "super"):
        for row in wire.ask("look for slots", trace_queries.SLOTS):
            yield f"replication slot {row['what']}: made by whom and when is not recorded"
    if wire.version < trace_queries.RECORDS_MAKERS and look.can(period, "createrole", "super"):
        for row in _roles_since(wire, period):
            yield f"role {row['what']}, new since then: made by whom is not recorded"


def _roles_since(wire: Wire, period: Period) -> list[dict[str, Any]]:
    if not period.numbers:
        return []
    return wire.ask("look for new roles", trace_queries.ROLES_SINCE, [min(period.numbers)] * 2)
