"""The PostgreSQL gateway: a recording proxy that knows who speaks and when they must end."""
