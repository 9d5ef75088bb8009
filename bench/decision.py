"""How long policy takes: one ruling over 200 rules, and one person's roles of 2,000 x 200.

Run it as `python -m bench.decision`. Times are of the processor, so that a noisy machine
changes them little; wall time is shown beside them. Needs no database.
"""

from __future__ import annotations

import datetime as dt
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from jit.policy import eligibility, engine, facts
from jit.policy.compiled import Bundle
from jit.policy.compiler import compile_bundle

RULES, GUARDRAILS, ROLES, TEAMS = 180, 20, 2000, 60
KINDS = ("postgresql", "ssh", "kubernetes")
ENVS = ("prod", "staging", "dev")
NOW = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
DECISION_LIMIT_MS, ELIGIBILITY_LIMIT_MS = 1.0, 10.0


def policy() -> str:
    """Return a file of 180 rules over 60 teams and 20 guardrails, 5 to 7 expressions each.

    Every third rule is for all teams, so that a role meets about 70 rules, not three: many
    more than in a real installation.
    """
    parts = [
        "apiVersion: jit/v1",
        "kind: AccessPolicy",
        "metadata: {name: bench, owner: bench}",
        "guardrails:",
    ]
    for n in range(GUARDRAILS):
        match = "{}" if n % 2 else "{role.env: prod}"
        parts.append(
            f"  - {{id: guard-{n}, match: {match}, "
            f"deny_when: 'request.change_freeze && ticket.severity > {n}', "
            'message: "No (SEV${ticket.severity})."}'
        )
    parts.append("rules:")
    for n in range(RULES):
        team = f"role.team: team-{n % TEAMS}, " if n % 3 else ""
        of_role = ' && role.team != "nobody"' if n % 10 == 0 else ""
        parts.append(
            f"""  - id: rule-{n}
    description: Rule {n}
    match: {{{team}role.kind: [postgresql, ssh, kubernetes], role.env: [prod, staging]}}
    who: '"group-{n % 40}" in user.groups && "team-{n % TEAMS}" in user.on_call_for{of_role}'
    when:
      - {{expr: ticket.is_open, message: "Ticket ${{ticket.key}} must be open."}}
      - {{expr: 'ticket.severity <= {1 + n % 4}', message: "Yours is SEV${{ticket.severity}}."}}
      - {{expr: 'ticket.assignee == user.id', message: "Ticket ${{ticket.key}} must be yours."}}
    grant:
      max_duration: 'ticket.severity == 1 ? duration("4h") : duration("2h")'
      approvals:
        - {{if: 'ticket.severity == 1', chain: []}}
        - {{if: 'true', chain: [{{any_of: ["group:leads-{n % TEAMS}"]}}]}}
      review_after: 'ticket.severity == 1'"""
        )
    return "\n".join(parts)


def roles(chance: random.Random) -> list[dict[str, dict[str, Any]]]:
    found = []
    for n in range(ROLES):
        target = {
            "slug": f"target-{n // 4}",
            "team": f"team-{chance.randrange(TEAMS)}",
            "kind": chance.choice(KINDS),
            "env": chance.choice(ENVS),
        }
        role = {"slug": f"role-{n}", "risk": "high", "max_duration": 14400, "tags": {"n": str(n)}}
        found.append({"role": role, "target": target})
    return found


def person(chance: random.Random) -> dict[str, Any]:
    return {
        "id": "rita",
        "groups": [f"group-{n}" for n in chance.sample(range(40), 28)],
        "on_call_for": [f"team-{n}" for n in chance.sample(range(TEAMS), 3)],
    }


def questions(chance: random.Random, catalogue: list[dict[str, Any]], count: int) -> list[Any]:
    return [
        facts.build(
            user=person(chance),
            **chance.choice(catalogue),
            ticket={
                "system": "local",
                "key": f"OPS-{n}",
                "known": True,
                "is_open": chance.random() < 0.9,
                "severity": chance.randint(1, 4),
                "assignee": chance.choice(["rita", "bo"]),
            },
            request={"duration": 1800, "change_freeze": chance.random() < 0.1},
            now=NOW,
        )
        for n in range(count)
    ]


def timed(work: Callable[[Any], object], inputs: list[Any]) -> tuple[list[float], list[float]]:
    """Return the processor's and the wall's milliseconds of each call."""
    processor, wall = [], []
    for value in inputs:
        wall_start, start = time.perf_counter(), time.process_time()
        work(value)
        processor.append((time.process_time() - start) * 1000)
        wall.append((time.perf_counter() - wall_start) * 1000)
    return processor, wall


def row(name: str, processor: list[float], wall: list[float]) -> None:
    cuts = statistics.quantiles(processor, n=20) if len(processor) > 1 else processor * 20
    walls = statistics.quantiles(wall, n=20) if len(wall) > 1 else wall * 20
    print(f"{name:<58}{cuts[9]:>9.2f}{cuts[18]:>9.2f}{walls[9]:>11.2f}{walls[18]:>9.2f}")


def main() -> int:
    chance = random.Random(7)
    files = {"bench.yaml": policy()}
    catalogue = roles(chance)
    print(f"{'milliseconds':<58}{'CPU p50':>9}{'p95':>9}{'wall p50':>11}{'p95':>9}")

    row("load: compile and type 200 rules", *timed(lambda _: compile_bundle(files), [0] * 3))
    bundle: Bundle = compile_bundle(files)
    asked = questions(chance, catalogue, 2000)
    touched = [
        bundle.enforced.rule_selector.select(question.values).bit_count() for question in asked
    ]
    decision = timed(lambda q: engine.rule(bundle=bundle, facts=q, now=NOW), asked)
    row(f"one ruling ({statistics.mean(touched):.0f} of {RULES} rules fit the role)", *decision)
    row(
        "one ruling, stored as JSON",
        *timed(lambda q: engine.rule(bundle=bundle, facts=q, now=NOW).as_json(), asked[:500]),
    )

    values = [
        eligibility.role_facts(
            facts.build(user={}, **role, ticket=None, request={}, now=NOW)
        )
        for role in catalogue
    ]  # fmt: skip
    policy_ = bundle.enforced
    row(
        "index 2,000 roles x 200 rules (when either changes)",
        *timed(lambda _: eligibility.index_roles(policy=policy_, roles=values), [0] * 10),
    )
    index = eligibility.index_roles(policy=policy_, roles=values)
    people = questions(chance, catalogue, 200)
    many = timed(lambda q: eligibility.eligible(index=index, facts=q), people)
    row("roles of one person, 2,000 x 200, indexed", *many)
    mine = eligibility.eligible(index=index, facts=people[0])
    print(f"({sum(e.eligible for e in mine.values())} of {len(mine)} roles are for that person)")

    met = (
        statistics.median(decision[0]) < DECISION_LIMIT_MS
        and statistics.median(many[0]) < ELIGIBILITY_LIMIT_MS
    )
    print(
        f"ruling p50 < {DECISION_LIMIT_MS:g} ms and eligibility p50 < {ELIGIBILITY_LIMIT_MS:g} ms: "
        f"{'met' if met else 'NOT MET'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
