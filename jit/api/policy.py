"""Policy over REST: what is in force, and candidates: propose, compare, try, put in force."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import pagination, query
from jit.api import policy_shapes as shapes
from jit.api.representations import time
from jit.api.shapes import page_of
from jit.api.views import Resource, actor, parse, person
from jit.identity import step_up
from jit.identity.permissions import Permission, Scope
from jit.kernel import clock
from jit.policy import inspecting, operations, queries
from jit.policy.models import PolicyBundle
from jit.workflow import simulate

DIFFERING = 500


class Policy(Resource):
    """The bundle in force, how its tests go, what the linter finds, whether the files drifted."""

    scopes = {"GET": Scope.READ}
    needs = {"GET": Permission.POLICY_READ}

    @extend_schema(responses={200: shapes.PolicyOut})
    def get(self, request: Request) -> Response:  # noqa: ARG002 -- DRF's signature
        active, drift = queries.active(), queries.drift()
        if active is None:
            raise queries.NoPolicyInForce("No policy is in force: propose one and activate it.")
        return Response(
            {
                **_candidate(active.bundle, in_force=True),
                **_inspected(active.bundle),
                "activated_by": active.activated_by.username if active.activated_by else None,
                "activated_at": time(active.activated_at),
                "drift": _drift(drift) if drift else None,
            }
        )


class Candidates(Resource):
    """All bundles that were proposed, the newest first; propose another."""

    scopes = {"GET": Scope.READ, "POST": Scope.OPERATE}
    takes = {"GET": query.PAGED}
    needs = {"GET": Permission.POLICY_READ, "POST": Permission.POLICY_PROPOSE}

    @extend_schema(
        operation_id="policy_candidates_list",
        responses=page_of(shapes.CandidateOut),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 -- DRF's signature
        page = pagination.newest_first(queries.bundles(), self.asked, field="proposed_at")
        active = queries.active_digest()
        items = [_candidate(row, in_force=row.digest == active) for row in page.items]
        return Response({"items": items, "next": page.next})

    @extend_schema(
        request=shapes.ProposalIn,
        responses={201: shapes.CandidateOut, 200: shapes.CandidateOut},
    )
    def post(self, request: Request) -> Response:
        checked, now = parse(shapes.ProposalIn, request), clock.now()
        row = operations.propose(
            files=checked["files"],
            actor=actor(request),
            user=person(request),
            now=now,
            comment=checked["comment"],
        )
        is_new = row.proposed_at == now
        return Response(
            _candidate(row, in_force=row.digest == queries.active_digest()),
            status=status.HTTP_201_CREATED if is_new else status.HTTP_200_OK,
        )


class CandidateDetail(Resource):
    """One bundle, and line by line what differs from the one in force."""

    scopes = {"GET": Scope.READ}
    needs = {"GET": Permission.POLICY_READ}

    @extend_schema(responses={200: shapes.CandidateDetailOut})
    def get(self, request: Request, digest: str) -> Response:  # noqa: ARG002 -- DRF's signature
        row, active = queries.bundle_by_digest(digest), queries.active()
        in_force = active is not None and active.bundle_id == row.pk
        found = inspecting.differences(active.bundle if active else None, row)
        return Response(
            {
                **_candidate(row, in_force=in_force),
                **_inspected(row),
                "diff": {name: "\n".join(line.text for line in lines) for name, lines in found},
            }
        )


class CandidateSimulation(Resource):
    """Whom a bundle would have given more or less, of the requests that the caller may see."""

    scopes = {"GET": Scope.READ}
    takes = {
        "GET": query.of(
            "SimulationQuery",
            days=query.number(least=1, most=simulate.LONGEST_DAYS, default=simulate.USUAL_DAYS),
        )
    }
    needs = {"GET": Permission.POLICY_READ}

    @extend_schema(
        responses={200: shapes.SimulationOut},
    )
    def get(self, request: Request, digest: str) -> Response:
        found = simulate.simulate(
            user=person(request),
            candidate=queries.bundle_by_digest(digest),
            days=self.asked["days"],
            now=clock.now(),
        )
        return Response(
            {
                "asked": found.asked,
                "skipped": found.skipped,
                "differing_count": len(found.differing),
                "differing": [
                    {
                        "request": one.request_id,
                        "person": one.person,
                        "role": one.role,
                        "effect": one.effect.value,
                        "before": one.told_before,
                        "after": one.told_after,
                    }
                    for one in found.differing[:DIFFERING]
                ],
            }
        )


class CandidateActivation(Resource):
    """Put a bundle in force; a second person's act. An older one rolls back."""

    scopes = {"POST": Scope.OPERATE}
    needs = {"POST": Permission.POLICY_ACTIVATE}
    steps_up = ("POST",)

    @extend_schema(
        request=shapes.ActivationIn,
        responses={200: shapes.CandidateOut},
    )
    def post(self, request: Request, digest: str) -> Response:
        bundle, now = queries.bundle_by_digest(digest), clock.now()
        comment = parse(shapes.ActivationIn, request)["comment"]
        step_up.require_fresh(request, act=f"policy.activate:{bundle.digest}", now=now)
        activation = operations.activate(
            bundle=bundle, user=person(request), actor=actor(request), now=now, comment=comment
        )
        return Response(_candidate(activation.bundle, in_force=True))


def _candidate(row: PolicyBundle, *, in_force: bool) -> dict[str, Any]:
    return {
        "digest": row.digest,
        "in_force": in_force,
        "proposed_by": row.proposed_by.username if row.proposed_by else None,
        "proposed_at": time(row.proposed_at),
        "comment": row.comment,
    }


def _inspected(row: PolicyBundle) -> dict[str, Any]:
    seen = inspecting.inspect(row)
    return {
        "files": row.files,
        "tests": [
            {
                "file": one.file,
                "line": one.line,
                "name": one.name,
                "passed": one.passed,
                "failures": list(one.failures),
            }
            for one in seen.results
        ],
        "findings": [
            {
                "file": one.file,
                "line": one.line,
                "column": one.column,
                "where": one.where,
                "message": one.message,
                "severity": one.severity,
            }
            for one in seen.findings
        ],
        "broken": seen.broken,
    }


def _drift(drift: queries.Drift) -> dict[str, Any]:
    return {
        "disk_digest": drift.disk_digest,
        "added": list(drift.added),
        "removed": list(drift.removed),
        "changed": list(drift.changed),
        "unreadable": drift.unreadable,
    }
