"""What is refused, or flagged, when somebody asks: by the page and by the interface alike."""

from __future__ import annotations

from typing import Any

import pytest

from jit.elevation.models import AfterReview, ElevationRequest, Grant
from jit.kernel import clock
from jit.notifications.models import Notification
from jit.tickets.adapters.base import TicketSystemUnavailable
from jit.tickets.adapters.local import Local
from tests.approvals.doors import DONE, Door, activated, join, leave
from tests.support import people
from tests.support.world import ADMIN, World

HOSTILE = "<!channel> <b>now</b> [x](http://x.invalid) \u202egnp.exe *all* & done"


class TestNobodyCanApprove:
    def test_of_an_empty_group_or_one_that_holds_only_the_requester(
        self, world: World, door: Door
    ) -> None:
        leave(world, "ada", "bo")
        status, words = door.ask()
        assert status == 422
        assert "Nobody can approve step 1 (group:payments-leads)" in words
        join(world, "rita")
        assert "other than you" in door.ask()[1]
        assert not ElevationRequest.objects.exists()

    def test_two_steps_that_only_one_person_could_answer(self, world: World, door: Door) -> None:
        leave(world, "ada", "bo")
        join(world, "olga")
        status, words = door.ask(role=ADMIN)
        assert status == 422
        assert "one person counts once" in words
        assert not ElevationRequest.objects.exists()


class TestRefused:
    def test_more_time_than_allowed_and_says_how_much_is(self, world: World, door: Door) -> None:
        status, words = door.ask(duration_seconds=7201)
        assert status == 422
        assert "7200" in words
        assert door.ask(duration_seconds=7200)[0] in DONE

    def test_a_second_one_while_one_is_pending_or_live(self, world: World, door: Door) -> None:
        first = world.ask()
        status, words = door.ask()
        assert status == 409
        assert str(first.pk) in words
        world.decide("ada", first)
        grant = activated(first)
        status, words = door.ask()
        assert status == 409
        assert str(grant.pk) in words
        assert door.ask(extends=str(grant.pk))[0] in DONE

    def test_while_the_ticket_system_is_silent(
        self, world: World, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(_self: Local, _key: str) -> None:
            raise TicketSystemUnavailable("The tracker does not answer; try again.")

        monkeypatch.setattr(Local, "fetch", down)
        status, words = door.ask()
        assert status == 503
        assert "does not answer" in words
        assert not ElevationRequest.objects.exists()

    @pytest.mark.parametrize("words", ["x" * 4001, "nul \0 inside"])
    def test_words_that_nobody_could_store(self, world: World, door: Door, words: str) -> None:
        assert door.ask(justification=words)[0] in {400, 422}
        assert not ElevationRequest.objects.exists()


class TestHostileWords:
    def test_are_kept_whole_and_shown_as_words(self, world: World, door: Door) -> None:
        whole = HOSTILE + "x" * (4000 - len(HOSTILE))
        assert door.ask(justification=whole)[0] in DONE
        request = ElevationRequest.objects.get()
        assert request.justification == whole
        assert "<!channel> [x]" not in door.reads("ada", request)


class TestBreakGlass:
    def test_tells_whom_it_skipped_and_owes_them_a_review(self, world: World, door: Door) -> None:
        now = clock.now()
        app = people.enrolled(world.user("rita"), now=now)
        assert door.break_glass("rita", "", ticket=world.tickets["sev1"])[0] == 403
        glass: dict[str, Any] = {"ticket": world.tickets["sev1"]}
        assert door.break_glass("rita", app.code(now), **glass)[0] in DONE
        request = ElevationRequest.objects.get()
        assert (request.state, request.break_glass) == ("APPROVED", True)
        told = Notification.objects.filter(kind="break-glass-used", channel="in_app")
        assert set(told.values_list("recipient__username", flat=True)) == {"ada", "bo", "olga"}
        AfterReview.objects.update(due_at=clock.now())
        status, words = door.break_glass("rita", app.code(now, ahead=1), role=ADMIN, **glass)
        assert status == 409
        assert "overdue review" in words
        assert Grant.objects.count() == 1
