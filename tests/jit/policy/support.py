"""Policies and facts that several tests of policy begin with."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any

from jit.policy.compiled import Bundle
from jit.policy.compiler import compile_bundle
from jit.policy.facts import Facts, build

NOW = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)

RULE = """
  - id: {id}
    description: Rule {id}
    match: {match}
    who: {who}
    when: {when}
    grant:
      max_duration: {max_duration}
      approvals: {approvals}
{more}"""


def rule(**parts: str) -> str:
    """Return one rule as YAML; what is not given admits everybody at once for an hour."""
    defaults = {
        "id": "open-door",
        "match": "{role.slug: orders-db-reader}",
        "who": "'true'",
        "when": "[]",
        "max_duration": "1h",
        "approvals": "[{if: true, chain: []}]",
        "more": "",
    }
    return RULE.format(**{**defaults, **parts})


def policy(*rules: str, guardrails: str = "[]", tests: str = "{}", mode: str = "enforce") -> str:
    listed = "".join(rules) or " []"
    return (
        "apiVersion: jit/v1\nkind: AccessPolicy\nmetadata: {name: house, owner: sre}\n"
        f"mode: {mode}\nguardrails: {guardrails}\nrules:{listed}\ntests: {tests}\n"
    )


@lru_cache(maxsize=200)
def compiled(*rules: str, **parts: str) -> Bundle:
    return compile_bundle({"house.yaml": policy(*rules, **parts)})


def facts(**changes: Any) -> Facts:
    """Return rita's facts for a SEV2 ticket of hers; `changes` are dotted names with `__`."""
    known = build(
        user={"id": "rita", "groups": ["payments-sre"]},
        role={
            "slug": "orders-db-reader", "target": "orders-db", "risk": "low", "max_duration": "4h"
        },
        ticket={
            "system": "local", "key": "OPS-1", "known": True, "is_open": True, "status": "open",
            "severity": 2, "assignee": "rita",
        },
        request={"duration": "30m", "change_freeze": False},
        now=NOW,
    )  # fmt: skip
    return known.with_values({name.replace("__", "."): v for name, v in changes.items()})
