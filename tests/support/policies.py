"""Put a policy in force for a test, unchecked: what is tested is what it then rules."""

from __future__ import annotations

from typing import Any

from jit.kernel import clock
from jit.ops.demo import seed
from jit.policy import operations
from jit.policy.compiler import compile_bundle
from tests.jit.policy.support import policy


def put_in_force(*rules: str, **parts: str) -> None:
    """Put these rules in force, as `tests.jit.policy.support.rule` writes them."""
    files = {"demo.yaml": policy(*rules, **parts)}
    told: Any = {"user": None, "actor": seed.SEEDER, "now": clock.now(), "comment": "a test"}
    operations._activate(operations._store(compile_bundle(files), files, **told), **told)
