"""Policy: the bundle in force with its tests, drift, candidates and what they would change."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from jit.catalog import recorded
from jit.identity import permissions, step_up
from jit.identity import queries as identity
from jit.identity.authentication import actor_of
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.errors import DomainError, InvalidInput
from jit.policy import files, inspecting, operations, queries
from jit.policy.compiler import PolicyNotCompiled
from jit.policy.models import PolicyBundle
from jit.web.htmx import PageRequest, is_part, page
from jit.workflow import simulate

SHOWN = 20
DIFFERING = 100


@require_GET
@page(Permission.POLICY_READ)
def policy(request: PageRequest) -> HttpResponse:
    """Show the bundle in force, its tests, whether the files differ, and all bundles."""
    active = queries.active()
    context = {
        "active": active,
        "seen": inspecting.inspect(active.bundle) if active else None,
        "drift": queries.drift(),
        "bundles": list(queries.bundles()[:SHOWN]),
        "history": list(queries.history()[:SHOWN]),
        "may_propose": permissions.has(request.user, Permission.POLICY_PROPOSE),
    }
    return render(request, "jit/policy/policy.html", context)


@require_GET
@page(Permission.POLICY_READ)
def bundle(request: PageRequest, digest: str) -> HttpResponse:
    """Show one bundle: its files, and line by line what differs from the one in force."""
    row = queries.bundle_by_digest(digest)
    active = queries.active()
    in_force = active is not None and active.bundle_id == row.pk
    own = row.proposed_by is not None and identity.same_person(row.proposed_by, request.user)
    replaced = queries.was_replaced(row)
    context = {
        "bundle": row,
        "in_force": in_force,
        "changes": []
        if in_force
        else inspecting.differences(active.bundle if active else None, row),
        "days": simulate.USUAL_DAYS,
        "own": own,
        "replaced": replaced,
        "may_propose": permissions.has(request.user, Permission.POLICY_PROPOSE),
        "unrecorded": _unrecorded(row),
        "may_activate": permissions.has(request.user, Permission.POLICY_ACTIVATE)
        and not own
        and not replaced,
        "factor_given": step_up.passed_for(
            request, act=f"policy.activate:{row.digest}", now=clock.now()
        ),
    }
    return render(request, "jit/policy/bundle.html", context)


@require_GET
@page(Permission.POLICY_READ)
def simulation(request: PageRequest, digest: str) -> HttpResponse:
    """Draw whom the bundle would have given more or less, of the requests one may see."""
    if not is_part(request):
        return redirect("policy-bundle", digest=digest)
    found = simulate.simulate(
        user=request.user,
        candidate=queries.bundle_by_digest(digest),
        days=simulate.USUAL_DAYS,
        now=clock.now(),
    )
    context = {
        "found": found,
        "days": simulate.USUAL_DAYS,
        "shown": found.differing[:DIFFERING],
        "more": max(len(found.differing) - DIFFERING, 0),
    }
    return render(request, "jit/policy/_simulation.html", context)


@require_POST
@page(Permission.POLICY_ACTIVATE)
def activate(request: PageRequest, digest: str) -> HttpResponse:
    row, now = queries.bundle_by_digest(digest), clock.now()
    act, code = f"policy.activate:{row.digest}", request.POST.get("otp", "").strip()
    if code and not step_up.passed_for(request, act=act, now=now):
        step_up.confirm(request=request, act=act, code=code, now=now)
    step_up.require_fresh(request, act=act, now=now)
    operations.activate(
        bundle=row,
        user=request.user,
        actor=actor_of(request),
        now=now,
        comment=request.POST.get("comment", "")[:1000],
    )
    messages.success(request, f"Bundle {row} is in force.")
    return redirect("policy")


@require_POST
@page(Permission.POLICY_PROPOSE)
def propose(request: PageRequest) -> HttpResponse:
    """Propose the policy files that lie on this machine as a candidate."""
    try:
        found = files.read_folder(settings.POLICY_DIR)
    except (files.NoPolicyFiles, OSError) as error:
        raise InvalidInput(f"The policy files can't be read: {error}") from error
    row = operations.propose(
        files=found,
        actor=actor_of(request),
        user=request.user,
        now=clock.now(),
        comment=request.POST.get("comment", "")[:1000],
    )
    messages.success(request, f"Bundle {row} is proposed; a second person may activate it.")
    return redirect("policy-bundle", digest=row.digest)


@require_POST
@page(Permission.POLICY_PROPOSE)
def propose_again(request: PageRequest, digest: str) -> HttpResponse:
    """Propose a bundle that was replaced anew, so that a second person may put it back."""
    row = queries.bundle_by_digest(digest)
    operations.propose(
        files=row.files,
        actor=actor_of(request),
        user=request.user,
        now=clock.now(),
        comment=request.POST.get("comment", "")[:1000],
    )
    messages.success(request, f"Bundle {row} is proposed again; a second person may activate it.")
    return redirect("policy-bundle", digest=row.digest)


def _unrecorded(row: PolicyBundle) -> list[str]:
    """Return the roles that this bundle wants recorded and that can be used unrecorded."""
    try:
        bundle = queries.compiled_bundle(row.digest)
        return list(recorded.ways_round(now=clock.now(), bundle=bundle))
    except (DomainError, PolicyNotCompiled):
        return []  # Its tests or whoever activates it say that it does not compile.
