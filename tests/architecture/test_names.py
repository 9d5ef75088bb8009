"""The words of the house: a class name tells one thing, a module's name tells its room.

Both lists of what is still otherwise may only get shorter: whoever renames one takes it off here.
"""

from __future__ import annotations

import ast
from collections import Counter

from tests.architecture.test_rules import named, sources

TWICE: set[str] = {
    "AccountDisabled",
    "Answer",
    "Approvals",
    "Ask",
    "BreakGlass",
    "Channel",
    "Check",
    "Checkpoint",
    "Choice",
    "Clause",
    "Cluster",
    "Condition",
    "Config",
    "Door",
    "Ending",
    "Endings",
    "Entry",
    "Event",
    "Filters",
    "Found",
    "Grant",
    "Installation",
    "Json",
    "Kind",
    "Line",
    "Lines",
    "Moment",
    "Offer",
    "Outcome",
    "Page",
    "Place",
    "Policy",
    "Problem",
    "Program",
    "Reader",
    "ReasonRequired",
    "Recording",
    "Redactor",
    "Refused",
    "Report",
    "Schema",
    "SessionOver",
    "Sessions",
    "Snapshot",
    "Standing",
    "Step",
    "Terminal",
    "Watch",
    "Wires",
    "_File",
    "_Open",
}
"""Names that several classes of the product bear as yet."""

BANNED = {
    "appending": "append",
    "asked": "pending queries",
    "ask_again": "recheck",
    "asking": "HTTP client, or what is asked for",
    "back": "backend session",
    "books": "database, or ledger for the audit log",
    "common": "the noun that it is about",
    "door": "authentication, or entry point",
    "doorstep": "negotiation",
    "ending": "revocation, or end",
    "front": "frontend session",
    "ground": "runtime paths, ports",
    "handing": "download",
    "heads": "checkpoints",
    "helpers": "the noun that it is about",
    "hints": "live updates",
    "house": "session supervisor",
    "keeper": "admission adapter",
    "knock": "authentication attempt",
    "late": "late provisioning",
    "leave": "leaver",
    "look": "observe",
    "looking": "resolver",
    "mandate": "delegation",
    "manager": "the noun that it is about",
    "means": "role writers",
    "minutes": "statement log",
    "misc": "the noun that it is about",
    "moving": "bulk transition, or the transition's own verb",
    "offer": "connection details",
    "offers": "eligible roles, or connection details",
    "parts": "interfaces",
    "pieces": "segments",
    "place": "runtime paths, or instance",
    "proving": "proofs",
    "quiet": "the noun that it is about",
    "reach": "target connection, or gateway credential",
    "rung": "step",
    "searching": "index terms",
    "silence": "circuit breaker",
    "spooled": "spool reader",
    "stand_in": "overdue watchdog",
    "stored": "store reader",
    "tap": "observer",
    "tape": "writer",
    "tell": "announcements",
    "traces": "residue",
    "utils": "the noun that it is about",
    "visitor": "connection",
    "voice": "decision",
    "wishes": "startup parameters",
    "writes": "role writers",
}
"""Names of modules that don't tell their room, and the field's word for what they were used for."""

STILL_THERE: set[str] = {
    "approvals/slack/asking.py",
    "jit/connectors/postgresql/ending.py",
    "jit/connectors/postgresql/look.py",
    "jit/connectors/postgresql/means.py",
    "jit/connectors/postgresql/quiet.py",
    "jit/connectors/postgresql/reach.py",
    "jit/connectors/postgresql/traces.py",
    "jit/connectors/postgresql/writes.py",
    "jit/connectors/ssh/ending.py",
    "jit/oncall/adapters/asking.py",
    "jit/oncall/looking.py",
    "jit/oncall/silence.py",
    "jit/ops/asking.py",
    "jit/ops/embedded/ground.py",
    "jit/web/offers.py",
    "jit/workflow/ask_again.py",
    "jit/workflow/hints.py",
    "jit/workflow/late.py",
    "jit/workflow/leave.py",
    "jit/workflow/offers.py",
    "jit/workflow/reach.py",
    "jit/workflow/stand_in.py",
    "jit/workflow/tell.py",
    "sessions/gateways/postgresql/offer.py",
    "sessions/gateways/ssh/asking.py",
    "sessions/gateways/ssh/offer.py",
    "sessions/offers.py",
    "sessions/views/ending.py",
}
"""Modules that bear a banned name as yet."""


class TestClasses:
    def test_bear_names_of_their_own(self) -> None:
        """Django finds a management command by the class name Command: those apart."""
        names = Counter(
            node.name
            for path in sources()
            if "commands" not in path.parts
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.ClassDef)
        )
        twice = {name for name, times in names.items() if times > 1}
        assert twice - TWICE == set(), "another class has it: take the field's word for yours"
        assert twice >= TWICE, f"take off the list: {sorted(TWICE - twice)}"


class TestModules:
    def test_tell_their_room(self) -> None:
        found = {named(path) for path in sources() if path.stem in BANNED}
        words = {path: BANNED[path.rpartition("/")[2][:-3]] for path in found - STILL_THERE}
        assert words == {}, "the field's word for this module is beside it"
        assert found >= STILL_THERE, f"take off the list: {sorted(STILL_THERE - found)}"
