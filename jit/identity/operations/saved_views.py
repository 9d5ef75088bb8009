"""What a person keeps to come back to: a page's filter under a name of their own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from django.db import transaction

from jit.identity import queries
from jit.identity.models import SavedView, User
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, InvalidInput

LONGEST_NAME = 60
MOST = 50


class ViewWithoutName(InvalidInput):
    """A saved view has a name, and a filter to keep."""


class TooManyViews(Conflict):
    """A list that long helps nobody."""


def save_view(
    *,
    user: User,
    page: str,
    name: str,
    wanted: Mapping[str, str],
    actor: Actor,  # noqa: ARG001 -- a convenience of one's own is nothing for the log
    now: dt.datetime,
) -> SavedView:
    """Keep the filter under this name; one of the same name is replaced. Raises
    ViewWithoutName and TooManyViews.
    """
    called = " ".join(name.replace("\0", "").split())
    kept = {key: value for key, value in wanted.items() if value and "\0" not in value}
    if not 0 < len(called) <= LONGEST_NAME:
        raise ViewWithoutName(
            f"Give the view a name of at most {LONGEST_NAME} characters.",
            fields={"name": ["From 1 to 60 characters."]},
        )
    if not kept:
        raise ViewWithoutName("Search for something first: a view keeps a filter.")
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # So that two at once count each other.
        others = queries.saved_views(user, page=page).exclude(name=called)
        if others.count() >= MOST:
            raise TooManyViews(f"You have {MOST} views here: delete one first.")
        row, _ = SavedView.objects.update_or_create(
            user=user, page=page, name=called, defaults={"wanted": kept, "saved_at": now}
        )
    return row


def delete_view(*, view: SavedView, actor: Actor, now: dt.datetime) -> None:  # noqa: ARG001 -- as above
    """Forget the view; repeating it changes nothing."""
    SavedView.objects.filter(pk=view.pk).delete()
