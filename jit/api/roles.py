"""What may be asked for: roles with their target, owner, risk, and whether they are for me."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import pagination, query, shapes
from jit.api.views import Resource, person
from jit.catalog import queries as catalog
from jit.identity.permissions import Scope
from jit.kernel import clock
from jit.kernel.errors import UnknownCursor
from jit.workflow.offers import Offer, offers

MOST = 5000
"""Roles that one eligibility question covers."""


def _role(offer: Offer) -> dict[str, Any]:
    role = offer.role
    return {
        "slug": role.slug,
        "name": role.name,
        "description": role.description,
        "target": role.target.slug,
        "risk": role.risk,
        "owner_group": role.owner_group.slug,
        "max_duration_seconds": role.max_duration_seconds,
        "tags": role.tags,
        "eligible": offer.eligible,
        "why_not": [offer.why_not] if offer.why_not and not offer.eligible else [],
    }


_LIST = query.of(
    "RolesQuery", paged=True, q=query.text(), target=query.text(), eligible=query.flag()
)


class Roles(Resource):
    """The roles that the caller may see, eligible ones first."""

    scopes = {"GET": Scope.READ}
    takes = {"GET": _LIST}

    @extend_schema(
        operation_id="roles_list",
        responses=shapes.page_of(shapes.RoleOut),
    )
    def get(self, request: Request) -> Response:
        rows = catalog.filter_roles(
            catalog.roles_visible_to(person(request)),
            q=self.asked["q"],
            target=self.asked["target"],
        )
        found = offers(
            user=person(request), roles=list(rows.order_by("slug")[:MOST]), now=clock.now()
        )
        if self.asked["eligible"]:
            found = [offer for offer in found if offer.eligible]
        return Response(_page(found, self.asked))


def _page(found: list[Offer], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the page after the role that the cursor names, in the order of `found`."""
    size, start = asked["limit"], 0
    if asked["cursor"]:
        after = pagination.decode(asked["cursor"])
        places = [place for place, offer in enumerate(found) if [offer.role.slug] == after]
        if not places:
            raise UnknownCursor
        start = places[0] + 1
    shown = found[start : start + size]
    more = len(found) > start + size
    return {
        "items": [_role(offer) for offer in shown],
        "next": pagination.encode(shown[-1].role.slug) if more else None,
    }


class RoleDetail(Resource):
    scopes = {"GET": Scope.READ}

    @extend_schema(responses={200: shapes.RoleOut})
    def get(self, request: Request, slug: str) -> Response:
        role = catalog.role_visible_to(person(request), slug)
        return Response(_role(offers(user=person(request), roles=[role], now=clock.now())[0]))
