"""Targets and roles: what may be asked for."""
