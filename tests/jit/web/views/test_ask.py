"""The request page: search, look-up, ruling, submission."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.test import Client

from jit.elevation import queries
from jit.kernel import clock
from jit.web.views.ask import chips
from tests.support import people
from tests.support.world import ADMIN, READER, WRITER, World

PART = {"HX-Request": "true"}


def form(world: World, **more: Any) -> dict[str, Any]:
    values = {
        "role": WRITER,
        "ticket": world.tickets["sev2"],
        "justification": "The checkout times out.",
        "duration_seconds": "600",
        "idempotency_key": "k1",
    }
    return values | more


class TestChips:
    def test_end_at_the_longest_and_keep_the_choice(self) -> None:
        assert [chip["seconds"] for chip in chips(3600, 900)] == [300, 900, 1800, 3600]
        assert [chip["seconds"] for chip in chips(3600, 900) if chip["chosen"]] == [900]

    def test_choose_half_an_hour_at_most_when_nothing_fits(self) -> None:
        assert [c["seconds"] for c in chips(28800, 0) if c["chosen"]] == [1800]
        assert [c["seconds"] for c in chips(120, 999) if c["chosen"]] == [120]

    def test_none_looks_chosen_beside_typed_minutes(self) -> None:
        """Who typed 10 minutes saw "30 min" chosen beside them."""
        assert [c["seconds"] for c in chips(3600, 600, "10") if c["chosen"]] == []


class TestRoles:
    def test_show_what_one_may_ask_for_first_and_why_not(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        ritas = at("rita").get("/request/roles/", headers=PART)
        assert [offer.eligible for offer in ritas.context["offers"]] == [True, True, True]
        ottos = at("otto").get("/request/roles/", headers=PART)
        assert {offer.eligible for offer in ottos.context["offers"]} == {False}
        assert all(offer.why_not for offer in ottos.context["offers"])
        assert ottos.content.count(b"disabled") == 3

    def test_are_searched_by_words(self, at: Callable[[str], Client]) -> None:
        found = at("rita").get("/request/roles/", {"role_search": "orders writer"}, headers=PART)
        assert [offer.role.slug for offer in found.context["offers"]] == [WRITER]

    def test_a_search_never_loses_the_choice(self, at: Callable[[str], Client]) -> None:
        asked = {"role_search": "reader", "role": WRITER}
        found = at("rita").get("/request/roles/", asked, headers=PART)
        assert [offer.role.slug for offer in found.context["offers"]] == [WRITER, READER]
        assert found.content.count(b"checked") == 1


class TestTicket:
    def test_is_looked_up_by_key_and_by_pasted_address(
        self, world: World, at: Callable[[str], Client], settings: Any
    ) -> None:
        key = world.tickets["sev1"]
        for reference in (key, f"{settings.BASE_URL}/tickets/{key}/"):
            answer = at("rita").get("/request/ticket/", {"ticket": reference}, headers=PART)
            assert b"SEV1" in answer.content
            assert b"Open" in answer.content

    def test_an_unknown_one_is_told_of(self, at: Callable[[str], Client]) -> None:
        answer = at("rita").get("/request/ticket/", {"ticket": "OPS-99999"}, headers=PART)
        assert b"There is no ticket OPS-99999" in answer.content


class TestRuling:
    def test_says_who_is_asked_in_which_order(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        answer = at("rita").post("/request/ruling/", form(world, role=ADMIN), headers=PART)
        text = answer.content.decode()
        assert text.index("one of payments-leads") < text.index("an owner of the role")
        assert "ada, bo" in text
        assert "olga" in text

    def test_says_what_is_missing(self, world: World, at: Callable[[str], Client]) -> None:
        answer = at("rita").post("/request/ruling/", {"role": "", "ticket": ""}, headers=PART)
        for words in (b"Pick a role", b"Name the ticket", b"what you need it for"):
            assert words in answer.content

    def test_says_why_not(self, world: World, at: Callable[[str], Client]) -> None:
        closed = form(world, role=READER, ticket=world.tickets["closed"])
        answer = at("rita").post("/request/ruling/", closed, headers=PART)
        assert b"Not offered to you" in answer.content or b"Forbidden" in answer.content
        assert answer.context["shown"]["problem"]["detail"] in answer.content.decode().replace(
            "&#x27;", "'"
        )

    def test_writes_nothing(self, world: World, at: Callable[[str], Client]) -> None:
        at("rita").post("/request/ruling/", form(world), headers=PART)
        assert not queries.requests().exists()


class TestAsk:
    def test_leads_to_the_request(self, world: World, at: Callable[[str], Client]) -> None:
        answer = at("rita").post("/request/", form(world))
        row = queries.requests().get()
        assert answer.headers["Location"] == f"/requests/{row.pk}/"
        assert (row.duration_seconds, row.channel) == (600, "web")

    def test_sent_twice_asks_once(self, world: World, at: Callable[[str], Client]) -> None:
        rita = at("rita")
        first, second = (rita.post("/request/", form(world)) for _ in range(2))
        assert first.headers["Location"] == second.headers["Location"]
        assert queries.requests().count() == 1

    def test_other_minutes_win_over_the_chips(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        at("rita").post("/request/", form(world, other_minutes="7"))
        assert queries.requests().get().duration_seconds == 420

    def test_no_minutes_are_not_half_an_hour(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        answer = at("rita").post("/request/", form(world, other_minutes="0"))
        assert answer.status_code == 400
        assert b"Minutes: Give whole minutes, from 1 to 525600." in answer.content
        assert not queries.requests().exists()

    def test_a_refusal_keeps_every_field(self, world: World, at: Callable[[str], Client]) -> None:
        why = "Fix \u202e <b>it</b>"
        sent = form(world, ticket=world.tickets["closed"], justification=why, other_minutes="9")
        answer = at("rita").post("/request/", sent)
        assert answer.status_code == 422
        text = answer.content.decode()
        assert "&lt;b&gt;it&lt;/b&gt;" in text
        assert "<b>it</b>" not in text
        assert 'value="9"' in text
        assert f'value="{world.tickets["closed"]}"' in text

    def test_junk_in_a_field_is_told_beside_it(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        for junk in ({"other_minutes": "soon"}, {"duration_seconds": "9" * 400}, {"extends": "x"}):
            answer = at("rita").post("/request/", form(world, **junk))
            assert answer.status_code in {400, 422}
            assert not queries.requests().exists()

    def test_a_hundred_kilobytes_are_refused(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        answer = at("rita").post("/request/", form(world, justification="x" * 100_000))
        assert answer.status_code == 400
        assert b"At most 4000 characters" in answer.content

    def test_a_start_is_in_the_readers_zone(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        from jit.identity import operations
        from jit.kernel import clock

        rita = world.user("rita")
        now = clock.now()
        operations.set_timezone(
            user=rita, timezone="Asia/Kolkata", actor=people.acting(rita), now=now
        )
        day = (now + dt.timedelta(days=2)).date()
        at("rita").post("/request/", form(world, starts_at=f"{day}T09:00"))
        starts_at = queries.requests().get().starts_at
        assert starts_at == dt.datetime.combine(day, dt.time(3, 30), dt.UTC)

    def test_a_time_of_no_calendar_is_told_of(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        answer = at("rita").post("/request/", form(world, starts_at="2026-02-31T25:00"))
        assert answer.status_code == 400
        assert b"2026-02-31T25:00" in answer.content


class TestGlass:
    def test_needs_a_code_given_for_it(self, world: World, at: Callable[[str], Client]) -> None:
        answer = at("rita").post("/break-glass/", form(world))
        assert answer.status_code == 403
        assert b"second factor given just now" in answer.content
        assert not queries.requests().exists()

    def test_shows_what_it_will_mean(self, world: World, at: Callable[[str], Client]) -> None:
        answer = at("rita").post("/break-glass/ruling/", form(world, ticket=""), headers=PART)
        assert b"for up to 15 min" in answer.content
        assert b"one of payments-leads" in answer.content

    def test_lists_only_what_can_be_broken_with_its_own_limit(
        self, at: Callable[[str], Client]
    ) -> None:
        found = at("rita").get("/request/roles/", {"glass": "1"}, headers=PART)
        offered = {offer.role.slug: offer.longest for offer in found.context["offers"]}
        assert offered == {ADMIN: 900, WRITER: 900}
        assert b"up to 15 min" in found.content
        nobody = at("otto").get("/request/roles/", {"glass": "1"}, headers=PART)
        assert b"is yours to break" in nobody.content

    def test_a_role_whose_glass_is_not_ones_own_is_not_offered_by_a_link_either(
        self, at: Callable[[str], Client]
    ) -> None:
        page = at("rita").get("/break-glass/", {"role": READER})
        assert not page.context["offer"].eligible

    def test_is_offered_filled_in_where_ones_own_request_waits(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        waiting = world.ask()
        rita, address = at("rita"), f"/break-glass/?instead={waiting.pk}"
        assert address in rita.get(f"/requests/{waiting.pk}/").content.decode()
        values = rita.get(address).context["values"]
        assert values["role"] == WRITER
        assert values["ticket"] == waiting.ticket_key
        assert values["justification"] == waiting.justification
        assert address not in at("ada").get(f"/requests/{waiting.pk}/").content.decode()
        assert at("ada").get(address).context["values"]["justification"] == ""

    def test_takes_the_place_of_what_waits(self, world: World, at: Callable[[str], Client]) -> None:
        waiting = world.ask()
        now = clock.now()
        code = people.enrolled(world.user("rita"), now=now).code(now, ahead=1)
        rita = at("rita")
        answer = rita.post("/break-glass/", form(world, otp=code))
        assert answer.status_code == 302
        assert b"the glass was broken instead" in rita.get(f"/requests/{waiting.pk}/").content
