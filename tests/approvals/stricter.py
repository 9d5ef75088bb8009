"""A stricter policy that two people put in force while a request is pending."""

from __future__ import annotations

from jit.kernel import clock
from jit.policy import operations
from tests.jit.policy.support import policy, rule
from tests.support.world import WRITER, World

CASES = (
    "{defaults: {user: {id: rita}, role: {slug: orders-db-reader, max_duration: 2h}, "
    "ticket: {key: OPS-1, known: true}, request: {duration: 30m}}, "
    "cases: [{name: in, expect: {outcome: auto}}, {name: no more, given: {role.slug: "
    "orders-db-writer}, expect: {outcome: denied, guardrails: [no-more]}}]}"
)


def put_in_force(world: World, *, message: str) -> str:
    """Let opal propose, and olga activate, a policy that denies all writing; return its digest."""
    text = policy(
        rule(),
        guardrails="[{id: no-more, description: Nobody writes, match: "
        f'{{role.slug: {WRITER}}}, deny_when: "true", message: "{message}"}}]',
        tests=CASES,
    )
    bundle = operations.propose(
        files={"demo.yaml": text},
        actor=world.actor("opal"),
        user=world.user("opal"),
        now=clock.now(),
    )
    operations.activate(
        bundle=bundle, user=world.user("olga"), actor=world.actor("olga"), now=clock.now()
    )
    return bundle.digest
