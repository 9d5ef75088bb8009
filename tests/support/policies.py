"""Put a policy in force for a test, unchecked: what is tested is what it then rules."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.db import transaction

from jit.kernel import clock
from jit.ops.demo import seed
from jit.policy import operations
from jit.policy.compiler import compile_bundle
from tests.jit.policy.support import policy, rule

_BREAK_GLASS = """
    break_glass:
      allowed: 'true'
      message: Nobody is refused.
      max_duration: 2h
      review_within: 24h
      reviewers: [role-owner]
"""


def admit_everybody() -> None:
    """Put a policy in force that gives roles of medium risk to whoever asks, by glass as well;
    a test with several targets may say so for each.
    """
    with suppress(operations.AlreadyInForce):
        put_in_force(rule(match="{role.risk: medium}", more=_BREAK_GLASS))


def put_in_force(*rules: str, **parts: str) -> None:
    """Put these rules in force, as `tests.jit.policy.support.rule` writes them."""
    files = {"demo.yaml": policy(*rules, **parts)}
    told: Any = {"user": None, "actor": seed.SEEDER, "now": clock.now(), "comment": "a test"}
    with transaction.atomic():
        operations._activate(operations._store(compile_bundle(files), files, **told), **told)
