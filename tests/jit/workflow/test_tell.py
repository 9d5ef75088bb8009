"""Who hears of what, through the real journeys."""

from __future__ import annotations

import datetime as dt

import pytest
from django.conf import LazySettings
from django.test import Client

from approvals.slack import messages
from jit.audit.operations import Subject
from jit.connectors.base import Unreachable
from jit.elevation import provisioning, queries
from jit.elevation.models import AfterReview, ElevationRequest, Grant
from jit.elevation.states import EndReason
from jit.identity import queries as identity
from jit.identity.models import User
from jit.kernel import clock
from jit.notifications import queries as notified
from jit.notifications import wording
from jit.notifications.channels import email, webhook
from jit.notifications.channels.base import Note
from jit.notifications.kinds import Kind
from jit.notifications.models import Notification
from jit.web.states import END_REASONS
from jit.workflow import activate, break_glass, lapse, revoke, submit, tell, ticket_changed
from tests.jit.workflow.test_ticket_changed import close
from tests.support import people
from tests.support.world import ADMIN, READER, WRITER, World

ENDS = wording.END_REASONS | {"revoked": "opal revoked it", "returned": "you returned it"}


def heard(kind: str) -> set[str]:
    """Return the names of those in whose inbox this kind lies."""
    rows = Notification.objects.filter(kind=kind, channel="in_app").select_related("recipient")
    return {str(row.recipient) for row in rows}


def only(kind: str, name: str) -> Notification:
    return Notification.objects.get(kind=kind, channel="in_app", recipient__username=name)


class TestAsked:
    def test_reaches_the_people_of_the_step_and_nobody_else(self, world: World) -> None:
        request = world.ask()
        assert heard("asked") == {"ada", "bo"}
        row = only("asked", "ada")
        assert (row.subject_type, row.subject_id) == ("request", str(request.pk))
        assert row.expires_at == request.lapses_at

    def test_reaches_the_next_step_once_it_opens(self, world: World) -> None:
        request = world.ask(role=ADMIN)
        assert heard("asked") == {"ada", "bo"}
        world.decide("ada", request)
        assert heard("asked") == {"ada", "bo", "olga"}

    def test_never_reaches_the_requester_though_they_are_an_approver(self, world: World) -> None:
        world.ask("bo", ticket=world.tickets["bos"])
        assert "bo" not in heard("asked")
        assert "ada" in heard("asked")

    def test_reaches_nobody_where_policy_alone_decides(self, world: World) -> None:
        world.ask(role=READER)
        assert heard("asked") == set()

    def test_is_not_written_for_a_request_that_was_refused(self, world: World) -> None:
        world.ask()
        with pytest.raises(submit.AlreadyPending):
            world.ask()
        assert Notification.objects.filter(kind="asked", channel="in_app").count() == 2


class TestDecided:
    @pytest.mark.parametrize(("verdict", "comment"), [("approve", ""), ("deny", "no")])
    def test_reaches_the_requester_and_the_other_approvers(
        self, world: World, verdict: str, comment: str
    ) -> None:
        request = world.ask()
        world.decide("ada", request, verdict, comment=comment)
        assert heard("decided") == {"rita", "bo"}
        payload = only("decided", "rita").payload
        assert (payload["verdict"], payload["by"], payload["final"]) == (verdict, "ada", True)
        assert comment not in payload.values() or not comment

    def test_says_that_more_is_asked(self, world: World) -> None:
        request = world.ask(role=ADMIN)
        world.decide("ada", request)
        assert only("decided", "rita").payload["final"] is False

    def test_a_double_click_is_heard_once(self, world: World) -> None:
        request = world.ask()
        world.decide("ada", request)
        world.decide("ada", request)
        assert Notification.objects.filter(kind="decided", channel="in_app").count() == 2

    def test_tells_the_requester_that_nobody_answered(self, world: World) -> None:
        request = world.ask()
        ElevationRequest.objects.filter(pk=request.pk).update(
            lapses_at=clock.now() - dt.timedelta(seconds=1)
        )
        assert lapse.lapse_due() == 1
        assert heard("decided") == {"rita"}
        assert only("decided", "rita").payload["verdict"] == "lapsed"

    def test_tells_nobody_of_their_own_withdrawal(self, world: World) -> None:
        request = world.ask()
        lapse.withdraw(request_id=request.pk, user=world.user("rita"), actor=world.actor("rita"))
        assert heard("decided") == set()


class TestGrant:
    def test_active_says_until_when(self, world: World) -> None:
        grant = world.grant()
        assert heard("active") == {"rita"}
        assert grant.ends_at
        until = dt.datetime.fromisoformat(only("active", "rita").payload["until"])
        assert until == grant.ends_at

    def test_ended_says_why(self, world: World) -> None:
        grant = world.grant()
        world.due(grant)
        assert revoke.revoke_due() == 1
        assert only("ended", "rita").payload["reason"] == "expired"

    @pytest.mark.parametrize("reason", list(EndReason))
    def test_every_end_says_its_reason_wherever_it_is_told(
        self, world: World, reason: EndReason
    ) -> None:
        """A grant that had not begun ended without a word; nobody read who revoked it, and why."""
        grant = queries.lock_grant(Grant.objects.get(request=world.ask(role=READER)).pk)
        revoke.end(grant=grant, reason=reason, comment="Too <broad>.", actor=world.actor("opal"))
        row, rita = only("ended", "rita"), world.user("rita")
        words = notified.words_of(row, rita)
        assert words.title == f"{READER} has ended: {ENDS[reason]}"
        assert dict(words.facts)["Why"] == "Too <broad>."
        listed = world.api("rita").get("notifications/").json()["items"]
        assert words.title in [one["title"] for one in listed]
        shown = world.api("rita").get(f"grants/{grant.pk}/").json()
        assert (shown["end_reason"], shown["end_comment"]) == (reason.value, "Too <broad>.")
        assert reason.value in END_REASONS
        page = people.signed_in(Client(), rita).get(f"/requests/{grant.request_id}/").content
        assert b"Too &lt;broad&gt;." in page
        assert END_REASONS[reason.value].encode() in page
        assert wording.END_REASONS[reason.value] in str(messages._of(grant))

    def test_a_mail_and_a_webhook_leave_out_what_somebody_wrote(self, world: World) -> None:
        grant = queries.lock_grant(Grant.objects.get(request=world.ask(role=READER)).pk)
        revoke.end(
            grant=grant, reason=EndReason.REVOKED, comment="Too broad.", actor=world.actor("opal")
        )
        row = only("ended", "rita")
        note = Note(
            id=row.id, kind=Kind.ENDED, key=row.key, recipient=world.user("rita"), endpoint=None,
            subject=Subject("request", row.subject_id, ""), payload=row.payload,
            created_at=row.created_at, expires_at=row.expires_at, attempt=1,
        )  # fmt: skip
        mail = email.compose(note)
        assert "opal revoked it" in mail.subject
        assert "Too broad" not in mail.message().as_string()
        assert "Too broad" not in str(webhook.content(note))

    def test_a_grant_that_could_not_start_is_told_too(self, world: World) -> None:
        request = world.ask(role=READER)
        grant = Grant.objects.get(request=request)
        close(world)
        activate.activate(grant_id=grant.pk)
        assert only("ended", "rita").payload["reason"] == EndReason.TICKET_CLOSED

    def test_a_closed_ticket_is_told_five_minutes_before(self, world: World) -> None:
        grant = world.grant(role=ADMIN)
        ticket_changed.ticket_changed(system="local", key=close(world))
        grant.refresh_from_db()
        row = only("ticket-closed", "rita")
        assert grant.revoke_at
        assert dt.datetime.fromisoformat(row.payload["until"]) == grant.revoke_at
        assert 290 < (grant.revoke_at - clock.now()).total_seconds() <= 300

    def test_a_stuck_revocation_rings_for_the_operators_once(
        self, world: World, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
    ) -> None:
        def down(*, grants: list[Grant], **_more: object) -> list[Unreachable]:
            return [Unreachable("no route") for _ in grants]

        grant = world.grant()
        monkeypatch.setattr(provisioning, "revoke", down)
        settings.STUCK_AFTER = 0
        world.due(grant)
        for _ in range(2):
            revoke.revoke_due()
            Grant.objects.filter(pk=grant.pk).update(next_try_at=clock.now())
        assert "opal" in heard("revocation-stuck")
        assert "rita" not in heard("revocation-stuck")
        assert (
            Notification.objects.filter(
                kind="revocation-stuck", channel="in_app", recipient__username="opal"
            ).count()
            == 1
        )


class TestEndingSoon:
    def end_in(self, grant: Grant, minutes: float, *, lasted: float = 60) -> None:
        ends_at = clock.now() + dt.timedelta(minutes=minutes)
        Grant.objects.filter(pk=grant.pk).update(
            ends_at=ends_at, starts_at=ends_at - dt.timedelta(minutes=lasted)
        )

    def test_tells_the_holder_once(self, world: World) -> None:
        grant = world.grant()
        self.end_in(grant, 9.5)
        assert tell.ending_soon() == 1
        assert tell.ending_soon() == 0
        assert heard("ending-soon") == {"rita"}
        assert only("ending-soon", "rita").payload["left"] in {"9 minutes", "10 minutes"}

    def test_tells_again_of_another_end(self, world: World) -> None:
        grant = world.grant()
        self.end_in(grant, 5)
        tell.ending_soon()
        self.end_in(grant, 8)
        assert tell.ending_soon() == 1

    @pytest.mark.parametrize(("minutes", "lasted"), [(11, 60), (9, 9.5), (-1, 60)])
    def test_is_silent_too_early_too_late_and_about_short_ones(
        self, world: World, minutes: float, lasted: float
    ) -> None:
        grant = world.grant()
        self.end_in(grant, minutes, lasted=lasted)
        assert tell.ending_soon() == 0


class TestBreakGlass:
    def use(self, world: World) -> ElevationRequest:
        return break_glass.use(
            requester=world.user("rita"),
            ask=submit.Ask(
                role=WRITER,
                ticket=world.tickets["sev1"],
                justification="Checkout is down.",
                duration_seconds=600,
            ),
            promise_ticket=False,
            second_factor_at=clock.now(),
            actor=world.actor("rita"),
            now=clock.now(),
        )

    def test_tells_everybody_who_was_skipped_and_the_owners(self, world: World) -> None:
        request = self.use(world)
        owners = {user.username for user in _members(request.role.owner_group.slug)}
        assert {"ada", "bo"} <= heard("break-glass-used")
        assert owners <= heard("break-glass-used")
        assert "rita" not in heard("break-glass-used")

    def test_an_overdue_review_is_told_to_the_reviewers_once(self, world: World) -> None:
        request = self.use(world)
        AfterReview.objects.filter(request=request).update(
            due_at=clock.now() - dt.timedelta(seconds=1)
        )
        assert break_glass.escalate_overdue() == 1
        assert break_glass.escalate_overdue() == 0
        assert heard("review-due") == heard("break-glass-used")


def _members(slug: str) -> list[User]:
    return list(identity.members_of(slug))
