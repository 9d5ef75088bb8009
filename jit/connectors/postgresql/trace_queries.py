"""The queries behind `traces`. Each row is `key` (of the evidence), `kind`, `what`, `owner`, `age`.

A catalogue row's xmin is the transaction that wrote it; the ephemeral role's comment holds the one
that gave the grant. age() counts both back from the same moment, whatever has wrapped round since.
An entry in the list of an object's rights has no time of its own: those of a row written since are
listed, and may be older.
"""

from __future__ import annotations

from psycopg import sql

RECORDS_MAKERS = 160000
"""The first version where whoever makes a role is on record, as its administrator."""
_PARAMETER_ACL = 150000

_BEGIN = (
    "WITH owner AS (SELECT oid, rolname::text AS name FROM pg_roles"
    " WHERE rolname::text = ANY({owners})),"
    " since AS (SELECT max(age(x::xid)) AS age FROM unnest({xids}::text[]) AS x)"
    " SELECT NULL AS key, NULL AS kind, s.xid AS what, NULL AS owner, age(s.xid::xid) AS age"
    " FROM unnest({xids}::text[]) AS s(xid)"
)


_RIGHTS = (
    " UNION ALL SELECT 'suspicious', 'right given', e.rights || ' on ' || <what> || ' to '"
    " || CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(e.grantee)::text END,"
    " e.owner, age(c.xmin) FROM since, <catalogue> c CROSS JOIN LATERAL ("
    " SELECT string_agg(DISTINCT x.privilege_type, ', ') AS rights, x.grantee, o.name AS owner"
    " FROM aclexplode(c.<acl>) x JOIN owner o ON o.oid = x.grantor"
    " WHERE x.grantee NOT IN (SELECT oid FROM owner) GROUP BY x.grantee, o.name) e"
    " WHERE c.<acl> IS NOT NULL AND age(c.xmin) <= since.age"
)


def _rights(what: str, catalogue: str, acl: str) -> str:
    """Return a query for the rights that a role of ours gave to others on such objects."""
    query = _RIGHTS.replace("<what>", what).replace("<catalogue>", catalogue)
    return query.replace("<acl>", acl)


_FUNCTIONS = (
    " UNION ALL SELECT 'suspicious', 'security definer function', format('%s.%s', n.nspname,"
    " regexp_replace(p.oid::regprocedure::text, '^.*[.]', '')), o.name, age(p.xmin)"
    " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
    " JOIN owner o ON o.oid = p.proowner WHERE p.prosecdef"
)
_DEFAULT_PRIVILEGES = (
    " UNION ALL SELECT 'suspicious', 'default privileges',"
    " coalesce(nullif(defaclnamespace, 0)::regnamespace::text, 'all schemas')"
    " || ': ' || defaclacl::text, o.name, age(a.xmin)"
    " FROM pg_default_acl a JOIN owner o ON o.oid = a.defaclrole"
)
# Whoever may alter a table, or wrote the function, may have made the trigger: nobody records it.
_TRIGGERS = (
    " UNION ALL SELECT 'suspicious', 'trigger', format('%s on %s', t.tgname, t.tgrelid::regclass),"
    " o.name, age(t.xmin) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " JOIN pg_proc p ON p.oid = t.tgfoid JOIN owner o ON o.oid IN (c.relowner, p.proowner)"
    " WHERE NOT t.tgisinternal"
    " UNION ALL SELECT 'suspicious', 'rule', format('%s on %s', r.rulename, r.ev_class::regclass),"
    " o.name, age(r.xmin) FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class"
    " JOIN owner o ON o.oid = c.relowner WHERE r.rulename <> '_RETURN'"
    " UNION ALL SELECT 'suspicious', 'row-level policy', format('%s on %s', p.polname,"
    " p.polrelid::regclass), o.name, age(p.xmin) FROM pg_policy p"
    " JOIN pg_class c ON c.oid = p.polrelid JOIN owner o ON o.oid = c.relowner"
)
_INVALID_INDEXES = (
    " UNION ALL SELECT 'suspicious', 'invalid index', format('%s on %s (cut while it was made:"
    " drop it, or make it anew)', i.indexrelid::regclass, i.indrelid::regclass), o.name,"
    " age(i.xmin)"
    " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'"
    " JOIN owner o ON o.oid = c.relowner WHERE NOT i.indisvalid"
)
# Whatever has an owner stands in pg_shdepend, of whatever kind it is.
_MADE = (
    " UNION ALL SELECT CASE WHEN d.classid IN ('pg_user_mapping'::regclass,"
    " 'pg_foreign_server'::regclass, 'pg_publication'::regclass, 'pg_subscription'::regclass,"
    " 'pg_event_trigger'::regclass, 'pg_extension'::regclass) THEN 'suspicious' ELSE 'made' END,"
    " 'new', pg_describe_object(d.classid, d.objid, d.objsubid), o.name, age(d.xmin)"
    " FROM pg_shdepend d JOIN owner o ON o.oid = d.refobjid"
    " WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'"
    " AND d.classid <> 'pg_default_acl'::regclass AND d.dbid = "
)
_HERE = "(SELECT oid FROM pg_database WHERE datname = current_database())"

IN_DATABASE = sql.SQL(
    _BEGIN
    + _FUNCTIONS
    + _DEFAULT_PRIVILEGES
    + _TRIGGERS
    + _INVALID_INDEXES
    + _MADE
    + _HERE
    + _rights(
        "CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'S' THEN 'sequence ' ELSE 'table ' END"
        " || c.oid::regclass::text",
        "pg_class",
        "relacl",
    )
    + _rights("'column ' || c.attrelid::regclass || '.' || c.attname", "pg_attribute", "attacl")
    + _rights("'function ' || c.oid::regprocedure", "pg_proc", "proacl")
    + _rights("'schema ' || c.oid::regnamespace", "pg_namespace", "nspacl")
    + _rights("'type ' || c.oid::regtype", "pg_type", "typacl")
    + _rights("'language ' || c.lanname", "pg_language", "lanacl")
    + _rights("'large object ' || c.oid", "pg_largeobject_metadata", "lomacl")
    + _rights("'foreign server ' || c.srvname", "pg_foreign_server", "srvacl")
    + _rights("'wrapper ' || c.fdwname", "pg_foreign_data_wrapper", "fdwacl")
)

_MEMBERSHIPS = (
    " UNION ALL SELECT 'suspicious', 'membership granted', format('%s to %s', m.roleid::regrole,"
    " m.member::regrole), o.name, age(m.xmin) FROM pg_auth_members m"
    " JOIN owner o ON o.oid = m.grantor"
    # Since 16 whoever makes a role becomes its administrator, by the hand of the first superuser.
    " UNION ALL SELECT 'suspicious', 'role made', m.roleid::regrole::text, o.name, age(m.xmin)"
    " FROM pg_auth_members m JOIN owner o ON o.oid = m.member"
    " WHERE m.admin_option AND m.grantor = 10"
)
_PREPARED = (
    " UNION ALL SELECT 'suspicious', 'prepared transaction', format('%s in %s', x.gid, x.database),"
    " x.owner::text, age(x.transaction) FROM pg_prepared_xacts x JOIN owner o ON o.name = x.owner"
)
_SETTINGS = (
    " UNION ALL SELECT 'suspicious', 'settings', array_to_string(s.setconfig, ', ')"
    " || coalesce(' in ' || d.datname, ''), o.name, age(s.xmin) FROM pg_db_role_setting s"
    " JOIN owner o ON o.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase"
    " WHERE o.name NOT LIKE 'jit\\_%'"
)
_ELSEWHERE = (
    " UNION ALL SELECT 'elsewhere', 'database', d.datname::text, o.name, 0"
    " FROM pg_database d CROSS JOIN owner o WHERE d.datallowconn AND NOT d.datistemplate"
    " AND o.name NOT LIKE 'jit\\_%' AND has_database_privilege(o.oid, d.oid, 'CONNECT')"
)


def in_cluster(version: int) -> sql.SQL:
    """Return the query for what belongs to no database, or to all of them."""
    query = _BEGIN + _MEMBERSHIPS + _PREPARED + _SETTINGS + _ELSEWHERE + _MADE + "0"
    query += _rights("'database ' || c.datname", "pg_database", "datacl")
    query += _rights("'tablespace ' || c.spcname", "pg_tablespace", "spcacl")
    if version >= _PARAMETER_ACL:
        query += _rights("'parameter ' || c.parname", "pg_parameter_acl", "paracl")
    return sql.SQL(query)


HAS_CRON = "SELECT FROM pg_extension WHERE extname = 'pg_cron'"
SEES_JOBS = (
    "SELECT NOT row_security_active('cron.job') OR EXISTS (SELECT FROM pg_policies"
    " WHERE schemaname = 'cron' AND tablename = 'job' AND cmd IN ('SELECT', 'ALL')"
    " AND qual = 'true' AND roles && ARRAY[current_user, 'public']::name[]) AS yes"
)
_JOBS = (
    " UNION ALL SELECT 'suspicious', 'pg_cron job', format('%s (%s): %s', j.jobid,"
    " j.schedule, left(j.command, 200)), o.name, age(j.xmin) FROM cron.job j"
    " JOIN owner o ON o.name = j.username"
)
JOBS = sql.SQL(_BEGIN + _JOBS)
SLOTS = "SELECT slot_name::text AS what FROM pg_replication_slots ORDER BY 1"
# Numbers are given out upwards, and begin anew after four billion.
ROLES_SINCE = (
    "SELECT rolname::text AS what FROM pg_roles WHERE oid::bigint <> %s"
    " AND mod(oid::bigint - %s + 4294967296, 4294967296) < 2147483648"
    " AND NOT (starts_with(rolname::text, 'jit_')"
    " AND coalesce(shobj_description(oid, 'pg_authid'), '') LIKE '{\"jit\": 1,%%') ORDER BY 1"
)
