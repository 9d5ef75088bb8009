"""A gateway's recording part, for sessions that have a recording."""

from __future__ import annotations

from tests.sessions.own_store import gateway, where

__all__ = ["gateway", "where"]
