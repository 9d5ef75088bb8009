"""What is written under tickets: in the built-in tracker, and in a Jira that others wrote."""

from __future__ import annotations

from operator import itemgetter as at
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction
from jira import JIRA

from jit.elevation.states import EndReason
from jit.kernel import backends, clock, db
from jit.kernel.actor import CLOCK
from jit.notifications import delivering
from jit.notifications.kinds import Kind
from jit.notifications.models import Notification, Outcome
from jit.tickets.models import LocalComment
from jit.workflow import break_glass, lapse, revoke, submit, tell, write_back
from tests.support.world import READER, WRITER, World


def written(world: World, ticket: str = "sev2") -> list[str]:
    """Deliver what is due and return the first lines of the ticket's comments."""
    delivering.deliver_lane("ticket:local")
    number = world.tickets[ticket].removeprefix("OPS-")
    texts = LocalComment.objects.filter(ticket=number).values_list("text", flat=True)
    return [text.splitlines()[0] for text in texts]


def delivered(lane: str) -> int:
    """Deliver until nothing waits, at most a few times over: a busy machine is slow to answer."""
    arrived = 0
    waiting = Notification.objects.filter(lane=lane, outcome=Outcome.WAITING)
    for _ in range(5):
        waiting.update(next_try_at=db.now())
        arrived += delivering.deliver_lane(lane)
        if not waiting.exists():
            break
    return arrived


class TestTheBuiltInTracker:
    def test_tells_a_request_from_asking_to_its_end(self, world: World) -> None:
        grant = world.grant()
        assert grant.ends_at
        assert grant.starts_at
        world.due(grant)
        assert revoke.revoke_due() == 1
        asked, approved, active, ended = written(world)
        assert asked == "rita asks for 10 min of orders-db-writer on orders-db."
        assert approved == "Approved by ada (step 1): orders-db-writer for rita, 10 min."
        assert active == (
            f"Active from {grant.starts_at:%Y-%m-%d %H:%M:%S} UTC until "
            f"{grant.ends_at:%Y-%m-%d %H:%M:%S} UTC: rita has orders-db-writer on orders-db."
        )
        assert ended.startswith("Ended at ")
        assert ended.endswith(" UTC: rita's orders-db-writer on orders-db; its time was over.")

    def test_is_written_once_whoever_tells_it_again(self, world: World) -> None:
        grant = world.grant()
        assert len(written(world)) == 3
        with transaction.atomic():
            tell.active(grant=grant, now=db.now())
        Notification.objects.filter(channel="ticket").update(
            outcome=Outcome.WAITING, settled_at=None
        )
        assert len(written(world)) == 3

    @pytest.mark.parametrize(
        ("end", "words"),
        [
            ("deny", "Denied by ada: orders-db-writer for rita."),
            ("withdrawn", "Not given: orders-db-writer for rita; it was withdrawn."),
            ("lapsed", "Not given: orders-db-writer for rita; nobody answered in time."),
        ],
    )
    def test_tells_how_a_request_came_to_nothing(self, world: World, end: str, words: str) -> None:
        request = world.ask()
        if end == "deny":
            world.decide("ada", request, "deny", comment="<script>*no*</script> !channel")
        elif end == "withdrawn":
            lapse.withdraw(
                request_id=request.pk, user=world.user("rita"), actor=world.actor("rita")
            )
        else:
            type(request).objects.filter(pk=request.pk).update(lapses_at=db.now())
            lapse.lapse_due()
        assert written(world)[-1] == words

    def test_tells_that_policy_asked_nobody(self, world: World) -> None:
        world.ask(role=READER)
        (said,) = written(world)
        assert said == (
            "rita asks for 10 min of orders-db-reader on orders-db; "
            "policy approved it without asking anybody."
        )

    def test_tells_of_a_break_glass_once_its_ticket_is_filed(self, world: World) -> None:
        request = break_glass.use(
            requester=world.user("rita"),
            ask=submit.Ask(
                role=WRITER, ticket="", justification="Nobody answers.", duration_seconds=300
            ),
            promise_ticket=True,
            second_factor_at=clock.now(),
            actor=world.actor("rita"),
            now=clock.now(),
        )
        assert written(world) == []
        break_glass.file_ticket(
            request_id=request.pk,
            user=world.user("rita"),
            reference=world.tickets["sev2"],
            actor=world.actor("rita"),
            now=clock.now(),
        )
        assert (
            written(world)[0] == "rita broke the glass for 5 min of orders-db-writer on orders-db."
        )

    def test_can_be_switched_off(self, world: World, settings: LazySettings) -> None:
        settings.TICKET_COMMENTS = ["jira"]
        world.grant()
        assert not Notification.objects.filter(channel="ticket").exists()

    def test_repeats_nothing_that_somebody_typed(self, world: World) -> None:
        hostile = "[~admin] <!channel> {html}x{html} https://evil.example/ \u202egnp"
        world.decide("ada", world.ask(justification=hostile), "deny", comment=hostile)
        written(world)
        for comment in LocalComment.objects.all():
            assert "evil" not in comment.text
            assert "admin" not in comment.text


class Recorded:
    """A sessions backend that has a recording."""

    def cut(self, **_: Any) -> set[Any]:
        return set()

    def cut_of(self, **_: Any) -> dict[Any, Any]:
        return {}

    def recordings(self, **_: Any) -> list[str]:
        return ["https://jit.example/sessions/1/"]


class TestWords:
    def test_name_the_recordings_once_it_ended(self, world: World, settings: LazySettings) -> None:
        settings.SESSIONS_BACKEND = f"{__name__}.Recorded"
        backends._instance.cache_clear()
        grant = world.grant()
        world.due(grant)
        revoke.revoke_due()
        written(world)
        texts = list(LocalComment.objects.values_list("text", flat=True))
        assert [("Recording: https://jit.example/sessions/1/" in one) for one in texts] == [
            False,
            False,
            False,
            True,
        ]

    def test_make_one_line_of_a_hostile_name(self) -> None:
        payload = {"role": "a\n*b*", "target": "t", "requester": "r\u202ei", "duration_seconds": 60}
        said = write_back.words(Kind.ASKED, payload).splitlines()[0]
        assert said == "r⟦U+202E⟧i asks for 1 min of a *b* on t."


class TestJira:
    @pytest.fixture
    def key(
        self,
        jira_url: str,
        people_in_jira: JIRA,
        settings: LazySettings,
    ) -> str:
        settings.TICKET_SYSTEMS = {
            **settings.TICKET_SYSTEMS,
            "jira": {
                "adapter": "jit.tickets.adapters.jira.Jira",
                "url": jira_url,
                "assignee_by": "name",
            },
        }
        settings.TICKET_COMMENTS = ["jira"]
        issue = people_in_jira.create_issue(
            fields={
                "project": {"key": "PAY"},
                "summary": "Payments are stuck",
                "issuetype": {"name": "Bug"},
                "assignee": {"name": "rita"},
                "priority": {"name": "High"},
            },
            prefetch=False,
        )
        return str(issue.key)

    def test_gets_the_whole_story_once_each(
        self,
        world: World,
        key: str,
        people_in_jira: JIRA,
    ) -> None:
        grant = world.grant(ticket=key)
        revoke.give_back(grant_id=grant.pk, user=world.user("rita"), actor=world.actor("rita"))
        assert revoke.revoke_due() == 1
        assert delivered("ticket:jira") == 4
        comments = Notification.objects.filter(channel="ticket")
        tries = comments.order_by("created_at", "id").values_list("tries", flat=True)
        told = sorted(zip(tries, ["rita", "Approved", "Active", "Ended"], strict=True), key=at(0))
        comments.update(outcome=Outcome.WAITING, settled_at=None)
        assert delivered("ticket:jira") == 4
        # This Jira lists them by the second, the newest first; their numbers say how they came.
        written = sorted(people_in_jira.comments(key), key=lambda comment: int(comment.id))
        found = [comment.body.split()[0] for comment in written]
        # In their order, but for one that a busy machine had to try again.
        assert found == [word for _, word in told]

    def test_that_is_down_delays_the_comment_and_no_revocation(
        self,
        world: World,
        key: str,
        people_in_jira: JIRA,
        settings: LazySettings,
    ) -> None:
        grant = world.grant(ticket=key)
        there = settings.TICKET_SYSTEMS["jira"]["url"]
        settings.TICKET_SYSTEMS["jira"]["url"] = "http://127.0.0.1:1"
        revoke.end_all(grants=[grant.pk], reason=EndReason.REVOKED, comment="", actor=CLOCK)
        assert revoke.revoke_due() == 1
        assert delivering.deliver_lane("ticket:jira") == 0
        waiting = Notification.objects.filter(channel="ticket", outcome=Outcome.WAITING)
        assert waiting.count() == 4
        assert waiting.exclude(reason="").count() == 1
        settings.TICKET_SYSTEMS["jira"]["url"] = there
        assert delivered("ticket:jira") == 4
        assert len(people_in_jira.comments(key)) == 4

    def test_that_knows_no_such_ticket_any_more_ends_the_tries(
        self,
        world: World,
        key: str,
        people_in_jira: JIRA,
    ) -> None:
        world.grant(ticket=key)
        people_in_jira.issue(key).delete()
        assert delivered("ticket:jira") == 0
        rows = Notification.objects.filter(channel="ticket")
        assert {row.outcome for row in rows} == {Outcome.FAILED}
        assert {row.goes_to for row in rows} == {key}
