"""Servers standing in for vendors' own: others' where there are any, said to be ours where not."""
