"""What the core may ask of this wing (`jit.workflow.ports.ApprovalsPort`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

from approvals import delegation, delegation_queries, escalation, operations, queries, resolving
from approvals.delegation_queries import Eligible
from jit.catalog.models import Role
from jit.elevation.models import ElevationRequest
from jit.identity.models import User
from jit.kernel.actor import Actor
from jit.kernel.errors import DomainError
from jit.policy.ruling import StepSpec
from jit.workflow.ports import ChainView, Resolution


class NobodyCanApprove(DomainError):
    """A step of the chain has nobody but the requester to answer it."""


class Approvals:
    def resolve(
        self,
        *,
        chain: Sequence[StepSpec],
        requester: User,
        role: Role,
        ticket_assignee: str | None,
        same_person_may_repeat: bool,
    ) -> Resolution:
        def expanded(any_of: Sequence[str]) -> list[str]:
            return self.expand(
                any_of=any_of, requester=requester, role=role, ticket_assignee=ticket_assignee
            )

        resolved = [expanded(spec.any_of) for spec in chain]
        fallback = [expanded(spec.fallback) for spec in chain]
        found = delegation_queries.eligible(
            e for many in (resolved, fallback) for s in many for e in s
        )
        others = [one for one in found if one.user.person_id != requester.person_id]
        # A stand-in is asked too, but lends a voice that exists already: nobody is added.
        people = [_people(others, who) for who in resolved]
        for place, spec in enumerate(chain):
            if len(people[place]) < spec.quorum and fallback[place]:
                resolved[place] = list(dict.fromkeys([*resolved[place], *fallback[place]]))
                people[place] = _people(others, resolved[place])
        asked = [
            [
                one.user
                for one in others
                if one.may_answer(set(who), requester=requester.person_id, spoken=set())
            ]
            for who in resolved
        ]
        for position, (spec, who) in enumerate(zip(chain, people, strict=True), start=1):
            if len(who) < spec.quorum:
                raise NobodyCanApprove(
                    f"Nobody can approve step {position} ({' or '.join(spec.any_of)}): it takes "
                    f"{spec.quorum} and only {len(who)} other than you could answer. Ask the "
                    f"owner of {role.slug} ({role.owner_group.slug}) to mend the group or policy."
                )
        quorums = [spec.quorum for spec in chain]
        if not same_person_may_repeat and not _distinct_people(people, quorums):
            raise NobodyCanApprove(
                "Nobody can approve this: the same few people stand in several steps, and one "
                f"person counts once. Ask the owner of {role.slug} ({role.owner_group.slug})."
            )
        return Resolution(
            approvers=resolved,
            people=asked,
            escalate_to=[expanded(spec.escalate_to) for spec in chain],
            fallback=fallback,
        )

    def expand(
        self, *, any_of: Sequence[str], requester: User, role: Role, ticket_assignee: str | None
    ) -> list[str]:
        return resolving.expand(
            any_of=any_of, requester=requester, role=role, ticket_assignee=ticket_assignee
        )

    def open(
        self,
        *,
        request: ElevationRequest,
        chain: Sequence[StepSpec],
        resolved: Resolution,
        same_person_may_repeat: bool,
        actor: Actor,
        now: dt.datetime,
    ) -> list[User]:
        return operations.open_chain(
            request=request,
            chain=chain,
            resolved=resolved,
            same_person_may_repeat=same_person_may_repeat,
            actor=actor,
            now=now,
        )

    def cancel(self, *, request: ElevationRequest, actor: Actor, now: dt.datetime) -> None:
        operations.cancel_chain(request=request, actor=actor, now=now)

    def describe(self, *, requests: Iterable[ElevationRequest]) -> dict[UUID, ChainView]:
        return queries.describe(requests)

    def candidates(self, *, expressions: Sequence[str]) -> list[User]:
        return queries.people_of(expressions)

    def decided_by(self, *, username: str) -> Iterable[UUID]:
        return queries.requests_decided_by(username)

    def lent_to(self, user: User) -> list[str]:
        mandates = delegation_queries.mandates_of(user)
        return sorted({expression for one in mandates for expression in one.expressions})

    def waiting(self, user: User, *, most: int) -> int:
        return queries.inbox(user).order_by()[:most].count()

    def watch(self) -> int:
        delegation.tell_of_ends()
        return escalation.watch()


def _people(found: Sequence[Eligible], resolved: Sequence[str]) -> set[UUID]:
    return {one.user.person_id for one in found if one.own & set(resolved)}


def _distinct_people(people: Sequence[set[UUID]], quorums: Sequence[int]) -> bool:
    """Return whether every step can be met by people of its own: a bipartite matching by
    augmenting paths (one slot for each voice a step needs).
    """
    slots = [who for who, quorum in zip(people, quorums, strict=True) for _ in range(quorum)]
    taken: dict[UUID, int] = {}

    def place(slot: int, seen: set[UUID]) -> bool:
        for person in slots[slot] - seen:
            seen.add(person)
            if person not in taken or place(taken[person], seen):
                taken[person] = slot
                return True
        return False

    return all(place(slot, set()) for slot in range(len(slots)))
