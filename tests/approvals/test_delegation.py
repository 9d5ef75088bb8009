from __future__ import annotations

import datetime as dt
from uuid import UUID, uuid5

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from approvals import delegation, delegation_queries, queries, rules
from approvals.models import Decision, Delegation, Step
from jit.audit.models import AuditEvent
from jit.elevation.models import Grant
from jit.identity import operations as identity
from jit.identity.models import Group
from jit.kernel import clock
from jit.kernel.errors import DomainError
from jit.notifications import queries as notified
from jit.notifications.channels import base
from jit.notifications.models import Notification
from jit.oncall import queries as on_call
from jit.policy import queries as policy
from tests.jit.policy.support import rule
from tests.support import people
from tests.support.policies import put_in_force
from tests.support.standing_in import lent
from tests.support.world import ADMIN, World


class TestDelegate:
    def test_lets_the_stand_in_decide_and_says_for_whom(self, world: World) -> None:
        lent(world, "ada", "otto")
        request = world.ask()
        step = queries.describe([request])[request.pk].steps[0]
        assert step.candidates == ("ada", "bo", "otto")
        assert step.stand_ins == (("otto", "ada"),)
        assert list(queries.inbox(world.user("otto"))) == [request]
        world.decide("otto", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"
        shown = queries.describe([request])[request.pk].steps[0].decisions[0]
        assert (shown.approver, shown.on_behalf_of) == ("otto", "ada")
        made = AuditEvent.objects.get(action="decision.made")
        assert b'"on_behalf_of":"ada"' in bytes(made.body)

    def test_is_on_the_record(self, world: World) -> None:
        row = lent(world, "ada", "otto")
        event = AuditEvent.objects.get(action="delegation.created")
        assert b'"delegate":"otto"' in bytes(event.body)
        for _ in range(2):
            delegation.revoke(
                delegation=row, user=world.user("ada"), actor=world.actor("ada"), now=clock.now()
            )
        assert AuditEvent.objects.filter(action="delegation.revoked").count() == 1

    def test_shows_the_request_to_the_stand_in_through_the_api(self, world: World) -> None:
        request = world.ask()
        otto = world.api("otto")
        assert otto.get(f"requests/{request.pk}/").status_code == 404
        lent(world, "ada", "otto")
        assert otto.get(f"requests/{request.pk}/").status_code == 200
        answer = otto.post(f"requests/{request.pk}/decisions/", {"decision": "approve"})
        assert answer.status_code == 201
        assert answer.json()["chain"][0]["decisions"][0]["on_behalf_of"] == "ada"

    def test_to_oneself_is_refused(self, world: World) -> None:
        people.person("ada-two", same_person_as=world.user("ada"))
        for name in ("ada", "ada-two"):
            with pytest.raises(delegation.DelegationToOneself):
                lent(world, "ada", name)

    def test_round_in_a_circle_is_refused(self, world: World) -> None:
        lent(world, "ada", "olga")
        lent(world, "olga", "bo")
        with pytest.raises(delegation.DelegationRoundInACircle):
            lent(world, "bo", "ada")
        later = clock.now() + dt.timedelta(days=1, hours=1)
        lent(world, "bo", "ada", starts_at=later, ends_at=later + dt.timedelta(days=1))

    def test_of_a_group_that_is_not_ones_own_is_refused(self, world: World) -> None:
        with pytest.raises(delegation.DelegationIncomplete, match="groups"):
            lent(world, "ada", "otto", groups=["sre-managers"])

    def test_without_a_reason_or_an_end_is_refused(self, world: World) -> None:
        with pytest.raises(delegation.DelegationIncomplete, match="reason"):
            lent(world, "ada", "otto", reason=" ")
        with pytest.raises(delegation.DelegationIncomplete, match="ends_at"):
            lent(world, "ada", "otto", ends_at=clock.now() + dt.timedelta(days=100))

    def test_is_limited_to_the_groups_it_names(self, world: World) -> None:
        identity.add_member(
            group=Group.objects.get(slug="sre-managers"),
            user=world.user("ada"),
            actor=people.INSTALLER,
            now=clock.now(),
        )
        lent(world, "ada", "otto", groups=["sre-managers"])
        with pytest.raises(rules.NotAnApprover):
            world.decide("otto", world.ask())


class TestConsent:
    def test_a_voice_that_nobody_accepted_counts_for_nothing(self, world: World) -> None:
        """Anybody lent their voice to somebody who had never heard of it."""
        row = lent(world, "ada", "otto", accepted=False)
        request = world.ask()
        assert not queries.inbox(world.user("otto")).exists()
        assert queries.describe([request])[request.pk].steps[0].candidates == ("ada", "bo")
        with pytest.raises(rules.NotAnApprover):
            world.decide("otto", request)
        with pytest.raises(delegation.DelegationNotYours):
            accept(world, row, "ada")
        for _ in range(2):
            accept(world, row, "otto")
        assert AuditEvent.objects.filter(action="delegation.accepted").count() == 1
        world.decide("otto", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"

    def test_is_not_given_to_what_is_over(self, world: World) -> None:
        row = lent(world, "ada", "otto", accepted=False)
        delegation.revoke(
            delegation=row, user=world.user("ada"), actor=world.actor("ada"), now=clock.now()
        )
        with pytest.raises(delegation.DelegationOver):
            accept(world, row, "otto")

    def test_two_halves_of_a_circle_are_not_both_accepted(self, world: World) -> None:
        there = lent(world, "ada", "olga", accepted=False)
        back = lent(world, "olga", "ada", accepted=False)
        accept(world, there, "olga")
        with pytest.raises(delegation.DelegationRoundInACircle):
            accept(world, back, "ada")

    def test_lasts_a_month_at_most(self, world: World) -> None:
        with pytest.raises(delegation.DelegationIncomplete, match="ends_at"):
            lent(world, "ada", "otto", ends_at=clock.now() + dt.timedelta(days=32))


def accept(world: World, row: Delegation, name: str) -> None:
    delegation.accept(
        delegation=row, user=world.user(name), actor=world.actor(name), now=clock.now()
    )


class TestWhatIsLent:
    def test_is_nothing_by_who_decides_on_no_role(self, world: World) -> None:
        """Anybody lent their voice, for whatever it would come to mean."""
        for name in ("rita", "otto", "udo"):
            with pytest.raises(delegation.NothingToLend, match="decides on no role"):
                lent(world, name, "bo")
        assert not Delegation.objects.exists()

    def test_is_no_group_that_decides_on_no_role(self, world: World) -> None:
        identity.add_member(
            group=Group.objects.get(slug="payments-sre"),
            user=world.user("ada"),
            actor=people.INSTALLER,
            now=clock.now(),
        )
        with pytest.raises(delegation.NothingToLend, match="No role asks payments-sre"):
            lent(world, "ada", "otto", groups=["payments-sre", "payments-leads"])
        lent(world, "ada", "otto", groups=["payments-leads"])

    def test_is_nothing_once_the_delegator_decides_no_more(self, world: World) -> None:
        row = lent(world, "ada", "otto", accepted=False)
        identity.remove_member(
            group=Group.objects.get(slug="payments-leads"),
            user=world.user("ada"),
            actor=people.INSTALLER,
            now=clock.now(),
        )
        row = delegation_queries.offered_to(world.user("otto"), row.pk)
        with pytest.raises(delegation.NothingToLend):
            accept(world, row, "otto")

    def test_is_nothing_while_no_policy_says_who_decides(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(policy, "active_digest", lambda: None)
        with pytest.raises(policy.NoPolicyInForce):
            lent(world, "ada", "otto")

    @pytest.mark.parametrize(
        ("approver", "name"),
        [("role-owner", "olga"), ("manager", "otto"), ("user:udo", "udo"), ("oncall:pay", "opal")],
    )
    def test_is_by_whoever_the_policy_means(
        self, world: World, monkeypatch: pytest.MonkeyPatch, approver: str, name: str
    ) -> None:
        on_it = {"pay": ["opal"]}
        monkeypatch.setattr(on_call, "people_on_call", lambda service: on_it[service])
        rita = world.user("rita")
        rita.manager = world.user("otto")
        rita.save(update_fields=["manager"])
        chain = f"[{{any_of: ['{approver}'], quorum: 1, lapse_after: 1h}}]"
        put_in_force(rule(approvals=f"[{{if: true, chain: {chain}}}]"))
        lent(world, name, "bo")
        others = {"olga", "otto", "udo", "opal"} - {name}
        for other in others:
            with pytest.raises(delegation.NothingToLend):
                lent(world, other, "bo")


def told(world: World, name: str) -> list[str]:
    """Return what stands unread in somebody's inbox of delegations, the newest first."""
    user = world.user(name)
    rows = notified.inbox_of(user, unread=True).filter(kind__startswith="delegation")
    return [notified.words_of(row, user).title.partition(" until ")[0] for row in rows]


class TestWhoIsTold:
    """The delegate heard of it only by looking at their account page."""

    def test_the_delegate_of_the_offer_by_every_lane(self, world: World) -> None:
        row = lent(world, "ada", "otto", accepted=False)
        assert told(world, "otto") == ["ada asks you to decide for them"]
        sent = Notification.objects.filter(kind="delegation-offered")
        assert set(sent.values_list("channel", flat=True)) == set(base.personal())
        words = notified.words_of(sent[0], world.user("otto"))
        assert words.link.endswith("/account/")
        assert ("Roles", "orders-db-admin, orders-db-reader, orders-db-writer") in words.facts
        assert told(world, "ada") == told(world, "olga") == []
        accept(world, row, "otto")
        assert told(world, "otto") == []

    def test_the_delegator_and_the_owners_of_what_is_decided(self, world: World) -> None:
        row = lent(world, "ada", "otto")
        assert told(world, "ada") == ["otto decides for you"]
        assert told(world, "olga") == ["otto decides for ada"]
        delegation.revoke(
            delegation=row, user=world.user("ada"), actor=world.actor("ada"), now=clock.now()
        )
        assert told(world, "olga") == ["otto no longer decides for ada: ada took it back"]
        assert told(world, "otto") == ["You no longer decide for ada: ada took it back"]
        assert told(world, "ada") == []

    @pytest.mark.parametrize("accepted", [True, False])
    def test_of_the_delegates_no(self, world: World, accepted: bool) -> None:
        row = lent(world, "ada", "otto", accepted=accepted)
        delegation.revoke(
            delegation=row, user=world.user("otto"), actor=world.actor("otto"), now=clock.now()
        )
        no_longer = "otto no longer decides for you: otto ended it"
        will_not = "otto will not decide for you: otto declined"
        assert told(world, "ada") == [no_longer if accepted else will_not]
        assert bool(told(world, "olga")) is accepted

    def test_once_that_the_time_is_over(self, world: World) -> None:
        row = lent(world, "ada", "otto")
        assert delegation.tell_of_ends() == 0
        Delegation.objects.filter(pk=row.pk).update(ends_at=clock.now())
        assert delegation.tell_of_ends() == 1
        assert delegation.tell_of_ends() == 0
        for name in ("ada", "olga", "otto"):
            assert told(world, name)[0].endswith("the time is over")
        delegation.revoke(
            delegation=row, user=world.user("ada"), actor=world.actor("ada"), now=clock.now()
        )
        assert Notification.objects.filter(kind="delegation-ended", channel="in_app").count() == 3


class TestTheOperatorsList:
    def test_names_everybodys(self, world: World) -> None:
        lent(world, "ada", "otto")
        lent(world, "bo", "otto", accepted=False)
        opal, udo = world.api("opal"), world.api("udo")
        listed = opal.get("delegations/", everybody="true").json()["items"]
        assert {one["delegator"] for one in listed} == {"ada", "bo"}
        assert opal.get("delegations/").json()["items"] == []
        assert udo.get("delegations/", everybody="true").status_code == 403
        page = people.signed_in(Client(), world.user("opal")).get("/account/delegations/")
        assert b"Everybody" in page.content
        page = people.signed_in(Client(), world.user("rita")).get("/account/delegations/")
        assert b"Everybody" not in page.content


class TestApi:
    def test_makes_lists_and_ends_a_delegation(self, world: World) -> None:
        ada = world.api("ada")
        body = {
            "delegate": "otto",
            "ends_at": (clock.now() + dt.timedelta(days=2)).isoformat(),
            "reason": "Away.",
        }
        made = ada.post("delegations/", body)
        assert made.status_code == 201, made.content
        assert [one["delegate"] for one in ada.get("delegations/").json()["items"]] == ["otto"]
        path = f"/api/v1/delegations/{made.json()['id']}/"
        assert made.json()["accepted_at"] is None
        otto, bo = world.api("otto"), world.api("bo")
        accept_it = f"delegations/{made.json()['id']}/accept/"
        assert [who.post(accept_it).status_code for who in (ada, bo, otto)] == [404, 404, 200]
        assert otto.get("delegations/").json()["items"][0]["accepted_at"]
        for who, status in ((bo, 404), (otto, 200), (ada, 200)):
            headers = {"Authorization": f"Bearer {who.token}"}
            assert who.client.delete(path, headers=headers).status_code == status
        again = ada.post("delegations/", body | {"delegate": "ada"})
        assert again.json()["code"] == "DelegationToOneself"


class TestPage:
    def test_names_and_ends_a_stand_in(self, world: World) -> None:
        client = people.signed_in(Client(), world.user("ada"))
        answer = client.post(
            "/account/delegations/new/", {"delegate": "otto", "days": 3, "reason": "<b>Away"}
        )
        assert b"&lt;b&gt;Away" in answer.content
        row = Delegation.objects.get()
        assert client.get("/account/delegations/").status_code == 200
        assert b"/account/delegations/" in client.get("/account/").content
        assert b"Not accepted yet" in answer.content
        otto = people.signed_in(Client(), world.user("otto"))
        assert b"You are asked to decide for" in otto.get("/account/delegations/").content
        assert client.post(f"/account/delegations/{row.pk}/accept/").status_code == 404
        accepted = otto.post(f"/account/delegations/{row.pk}/accept/")
        assert b"You for" in accepted.content
        assert b"Accept" not in accepted.content
        client.post(f"/account/delegations/{row.pk}/end/")
        row.refresh_from_db()
        assert row.revoked_at is not None
        refused = client.post("/account/delegations/new/", {"delegate": "ada", "days": 3})
        assert refused.status_code == 400
        assert Delegation.objects.count() == 1


class TestDecideByDelegation:
    @pytest.mark.parametrize("how", ["ended", "revoked", "not begun", "delegator disabled", "lost"])
    def test_delegation_ended_between_message_and_click(self, world: World, how: str) -> None:
        request = world.ask()
        row = lent(world, "ada", "otto")
        now, hour = clock.now(), dt.timedelta(hours=1)
        if how == "revoked":
            delegation.revoke(
                delegation=row, user=world.user("ada"), actor=world.actor("ada"), now=now
            )
        elif how == "delegator disabled":
            identity.disable_user(user=world.user("ada"), actor=people.INSTALLER, now=now)
        elif how == "lost":
            group = Group.objects.get(slug="payments-leads")
            identity.remove_member(
                group=group, user=world.user("ada"), actor=people.INSTALLER, now=now
            )
        else:
            start = now + hour if how == "not begun" else now - 2 * hour
            Delegation.objects.update(starts_at=start, ends_at=start + hour)
        with pytest.raises(rules.NotAnApprover, match="stands in"):
            world.decide("otto", request)
        assert Step.objects.get(chain__request=request).state == "OPEN"
        assert not queries.inbox(world.user("otto")).exists()
        mandates = delegation_queries.mandates_of(world.user("otto"))
        assert not any("group:payments-leads" in one.expressions for one in mandates)

    def test_delegate_who_is_another_approver_of_the_step_counts_once(self, world: World) -> None:
        request = world.ask()
        Step.objects.filter(chain=request.chain).update(quorum=2)
        lent(world, "ada", "bo")
        world.decide("bo", request)
        assert Decision.objects.get().on_behalf_of is None
        assert world.decide("bo", request).repeated
        request.refresh_from_db()
        assert request.state == "PENDING"
        world.decide("ada", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"
        assert Grant.objects.count() == 1

    def test_a_stand_in_counts_once_in_a_chain(self, world: World) -> None:
        request = world.ask(role=ADMIN)
        lent(world, "ada", "otto")
        lent(world, "olga", "otto")
        world.decide("otto", request)
        with pytest.raises(rules.AlreadyCounted, match="step 1"):
            world.decide("otto", request)
        request.refresh_from_db()
        assert request.state == "PENDING"


PEOPLE = [uuid5(UUID(int=0), str(number)) for number in range(6)]
GROUPS = ["group:a", "group:b"]
person = st.integers(0, len(PEOPLE) - 1)


class TestNoSetOfDelegationsAndGroups:
    @given(
        groups=st.lists(st.frozensets(st.sampled_from(GROUPS)), min_size=6, max_size=6),
        lent=st.lists(st.tuples(person, person), max_size=10),
        clicks=st.lists(person, max_size=14),
        resolved=st.lists(st.sampled_from(GROUPS), min_size=1, unique=True),
        quorum=st.integers(1, 4),
    )
    def test_lets_fewer_than_quorum_other_persons_approve(
        self,
        groups: list[frozenset[str]],
        lent: list[tuple[int, int]],
        clicks: list[int],
        resolved: list[str],
        quorum: int,
    ) -> None:
        voices: list[rules.Voice] = []
        for who in clicks:
            mandates = tuple(
                rules.Mandate(PEOPLE[giver], PEOPLE[giver], f"p{giver}", groups[giver])
                for giver, taker in lent
                if taker == who
            )
            ask = rules.Ask(
                approver_person=PEOPLE[who],
                approver_name=f"p{who}",
                approver_expressions=groups[who],
                approver_active=True,
                requester_person=PEOPLE[0],
                requester_name="p0",
                position=1,
                resolved=tuple(resolved),
                voices=tuple(voices),
                same_person_may_repeat=False,
                verdict="approve",
                comment="",
                asked_seconds=60,
                shorter_seconds=None,
                mandates=mandates,
            )
            try:
                mandate = rules.judge(ask)
            except DomainError:
                continue
            voices.append(
                rules.Voice(
                    PEOPLE[who], "approve", 1, f"p{who}", mandate.person if mandate else None
                )
            )
        named = [one for v in voices for one in (v.person, v.behalf_person) if one is not None]
        assert len(named) == len(set(named)), "somebody counted twice"
        assert PEOPLE[0] not in named
        owners = {v.behalf_person or v.person for v in voices}
        entitled = {PEOPLE[n] for n in range(1, 6) if groups[n] & set(resolved)}
        assert owners <= entitled
        if rules.met(approvals=[v.person for v in voices], quorum=quorum):
            assert len(owners) >= quorum
