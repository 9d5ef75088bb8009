"""What a person may have left behind on purpose: code that runs with the role's rights.

Nothing of this is removed: it may be a migration that somebody was meant to run. It goes into
the evidence as `suspicious`, for the review.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import sql

from jit.connectors.postgresql.wire import Wire

# A row's xmin is the transaction that wrote it; the role's comment holds the one that gave the
# grant. age() counts both back from the same moment, whatever has wrapped round since.
_WRITTEN_SINCE = sql.SQL(
    "SELECT NULL AS kind, s.xid AS what, NULL AS owner, age(s.xid::xid) AS age"
    " FROM unnest({xids}::text[]) AS s(xid)"
    " UNION ALL SELECT 'security definer function', format('%s.%s', n.nspname,"
    " regexp_replace(p.oid::regprocedure::text, '^.*[.]', '')), pg_get_userbyid(p.proowner)::text,"
    " age(p.xmin) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
    " JOIN pg_roles o ON o.oid = p.proowner WHERE p.prosecdef AND o.rolname::text = ANY({owners})"
    " UNION ALL SELECT 'default privileges',"
    " coalesce(nullif(defaclnamespace, 0)::regnamespace::text, 'all schemas')"
    " || ': ' || defaclacl::text, o.rolname::text, age(a.xmin)"
    " FROM pg_default_acl a JOIN pg_roles o ON o.oid = a.defaclrole"
    " WHERE o.rolname::text = ANY({owners})"
    " UNION ALL SELECT 'membership granted', format('%s to %s', m.roleid::regrole,"
    " m.member::regrole), o.rolname::text, age(m.xmin) FROM pg_auth_members m"
    " JOIN pg_roles o ON o.oid = m.grantor"
    " WHERE o.rolname::text = ANY({owners})"
    " UNION ALL SELECT 'prepared transaction', x.gid, x.owner::text, age(x.transaction)"
    " FROM pg_prepared_xacts x WHERE x.owner::text = ANY({owners})"
    " AND x.database = current_database()"
)


@dataclass(frozen=True, slots=True)
class Period:
    """Whose traces to look for: the ephemeral role and the role it became, and the transaction
    that gave it.
    """

    name: str
    owners: frozenset[str]
    since_xid: str


def left_behind(wire: Wire, periods: Collection[Period]) -> dict[str, list[str]]:
    """Return for each period's name what was written in the connected database since then by
    the ephemeral role or the role it became. Overlapping grants of one role share the finds.
    """
    owners = sorted({owner for period in periods for owner in period.owners})
    xids = sorted({period.since_xid for period in periods})
    rows = wire.ask(
        "look for traces",
        _WRITTEN_SINCE.format(xids=sql.Literal(xids), owners=sql.Literal(owners)),
    )
    began = {row["what"]: row["age"] for row in rows if row["kind"] is None}
    database = wire.connection.info.dbname
    found: dict[str, list[str]] = {}
    for row in (row for row in rows if row["kind"]):
        for period in periods:
            if row["owner"] in period.owners and row["age"] <= began[period.since_xid]:
                text = f"{row['kind']} {row['what']} of {row['owner']} in {database}"
                found.setdefault(period.name, []).append(text)
    return {name: sorted(texts) for name, texts in found.items()}
