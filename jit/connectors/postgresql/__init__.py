"""PostgreSQL: a login role for each grant, with the deadline in it."""

from jit.connectors.postgresql.connector import PostgreSQL

__all__ = ["PostgreSQL"]
