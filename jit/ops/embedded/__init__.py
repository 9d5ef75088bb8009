"""The embedded mode: PostgreSQL and Valkey as child processes, from wheels, without Django.

For trying out, development and tests. These modules import the standard library alone, so that
a supervisor or a test can start servers before Django's settings exist.
"""
