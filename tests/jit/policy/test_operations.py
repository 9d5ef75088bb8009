from __future__ import annotations

import datetime as dt
import json
import logging

import pytest

from jit.audit.models import AuditEvent
from jit.audit.operations import Subject
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.actor import CLOCK, Channel
from jit.kernel.errors import NotAllowed
from jit.kernel.ids import uuid7
from jit.policy import operations, queries
from jit.policy.models import PolicyActivation, PolicyBundle
from jit.policy.operations import (
    AlreadyInForce,
    AlreadyInstalled,
    NotProposedAnew,
    PolicyRefused,
    SelfActivation,
)
from jit.policy.ruling import Outcome, Ruling, Shadow
from tests.jit.policy.support import facts, policy, rule
from tests.support.people import INSTALLER, acting, person
from tests.support.people import group as make_group

pytestmark = pytest.mark.django_db

CASES = (
    "{defaults: {user: {id: rita}, role: {slug: orders-db-reader, max_duration: 2h}, "
    "ticket: {key: OPS-1, known: true}, request: {duration: 30m}}, "
    "cases: [{name: in, expect: {outcome: auto}}]}"
)
BOTH = (Permission.POLICY_PROPOSE, Permission.POLICY_ACTIVATE)


def files(**parts):
    return {"house.yaml": policy(rule(**parts), tests=CASES)}


@pytest.fixture
def now():
    return clock.now()


@pytest.fixture
def keepers(now):
    """ada and bo, who may both propose and activate."""
    make_group("policy-keepers", *BOTH)
    return [person(name, "policy-keepers") for name in ("ada", "bo")]


@pytest.fixture
def since():
    return uuid7()


def events(action, since):
    return list(AuditEvent.objects.filter(action=action, id__gt=since).order_by("seq"))


def propose(user, now, **parts):
    return operations.propose(files=files(**parts), actor=acting(user), user=user, now=now)


def activate(bundle, user, now):
    # As in production, the person is loaded anew for each request.
    found = identity.person(user.pk)
    return operations.activate(bundle=bundle, user=found, actor=acting(user), now=now)


class TestRule:
    def test_refuses_while_no_policy_is_in_force(self, now):
        ruling = operations.rule(facts(), now)
        assert ruling.outcome is Outcome.ERROR
        assert "No policy is in force" in ruling.errors[0]
        assert Ruling.from_json(ruling.as_json()) == ruling

    def test_is_by_the_bundle_in_force_from_the_moment_of_its_activation(self, keepers, now):
        ada, bo = keepers
        first = propose(ada, now, max_duration="1h")
        second = propose(ada, now, max_duration="30m")
        for bundle, seconds in ((first, 3600), (second, 1800)):
            activate(bundle, bo, now)
            ruling = operations.rule(facts(), now)
            assert (ruling.bundle_digest, ruling.max_duration_seconds) == (bundle.digest, seconds)

    def test_takes_one_statement(self, keepers, now, django_assert_num_queries):
        ada, bo = keepers
        activate(propose(ada, now), bo, now)
        operations.rule(facts(), now)
        with django_assert_num_queries(1):
            operations.rule(facts(), now)

    def test_refuses_by_files_that_were_altered_in_the_database(self, keepers, now, caplog):
        ada, bo = keepers
        bundle = propose(ada, now, max_duration="41m")
        activate(bundle, bo, now)
        queries._compiled.pop(bundle.digest, None)
        PolicyBundle.objects.filter(pk=bundle.pk).update(files=files(max_duration="1h"))
        ruling = operations.rule(facts(), now)
        assert ruling.outcome is Outcome.ERROR
        assert "altered" in ruling.errors[0]
        assert "can't be used" in caplog.text

    def test_rings_when_a_clause_has_no_answer(self, keepers, now, caplog):
        ada, bo = keepers
        # Its own test gives the tag; the request's role lacks it.
        text = policy(
            rule(who="role.tags.x == 'y'"), tests=CASES.replace("max_d", "tags: {x: y}, max_d")
        )
        bundle = operations.propose(
            files={"house.yaml": text}, actor=acting(ada), user=ada, now=now
        )
        activate(bundle, bo, now)
        with caplog.at_level(logging.ERROR):
            assert operations.rule(facts(), now).outcome is Outcome.ERROR
        assert "could not be evaluated: open-door.who" in caplog.text


class TestPropose:
    def test_stores_the_files_under_their_digest(self, keepers, now, since):
        bundle = propose(keepers[0], now)
        assert len(bundle.digest) == 64
        assert bundle.proposed_by == keepers[0]
        assert queries.active() is None
        (event,) = events("policy.proposed", since)
        assert event.subject_id == bundle.digest

    def test_is_one_bundle_however_often_with_its_first_proposer(self, keepers, now, since):
        ada, bo = keepers
        assert propose(ada, now) == propose(bo, now)
        assert propose(bo, now).proposed_by == ada
        assert len(events("policy.proposed", since)) == 1

    def test_takes_the_permission(self, now):
        with pytest.raises(NotAllowed, match="policy:propose"):
            propose(person("rita"), now)
        assert not PolicyBundle.objects.exists()

    @pytest.mark.parametrize(
        ("parts", "said"),
        [
            ({"who": "ticket.severty == 1"}, "did you mean ticket.severity"),
            ({"who": "'false'"}, "expected 'auto'"),
            ({"approvals": '[{if: true, chain: [{any_of: ["group:ghosts"]}]}]'}, "nobody can"),
        ],
    )
    def test_refuses_a_candidate_with_an_error(self, keepers, now, parts, said):
        with pytest.raises(PolicyRefused) as refused:
            propose(keepers[0], now, **parts)
        assert any(said in problem for problem in refused.value.extra["problems"])
        assert not PolicyBundle.objects.exists()


class TestActivate:
    def test_takes_a_second_person(self, keepers, now, since):
        ada, bo = keepers
        bundle = propose(ada, now)
        with pytest.raises(SelfActivation, match="somebody else must activate"):
            activate(bundle, ada, now)
        assert queries.active() is None
        activation = activate(bundle, bo, now)
        assert queries.active() == activation
        (event,) = events("policy.activated", since)
        body = json.loads(bytes(event.body))
        assert body["actor"]["name"] == "bo"
        assert '"proposed_by":"ada"' in bytes(event.body).decode()

    def test_does_not_take_a_second_account_for_a_second_person(self, keepers, now):
        ada, _ = keepers
        double = person("ada-admin", "policy-keepers", same_person_as=ada)
        with pytest.raises(SelfActivation):
            activate(propose(ada, now), double, now)

    def test_takes_the_permission(self, keepers, now):
        make_group("proposers", Permission.POLICY_PROPOSE)
        with pytest.raises(NotAllowed, match="policy:activate"):
            activate(propose(keepers[0], now), person("olga", "proposers"), now)

    def test_refuses_what_is_in_force(self, keepers, now):
        ada, bo = keepers
        bundle = propose(ada, now)
        activate(bundle, bo, now)
        with pytest.raises(AlreadyInForce):
            activate(bundle, bo, now)

    def test_one_person_alone_does_not_put_a_replaced_policy_back(self, keepers, now, since):
        ada, bo = keepers
        later = now + dt.timedelta(seconds=1)
        old, new = propose(ada, now), propose(ada, now, max_duration="2h")
        for bundle in (old, new):
            activate(bundle, bo, now)
        for who in keepers:
            with pytest.raises(NotProposedAnew, match="another puts it in force"):
                activate(old, who, now)
        assert propose(bo, later) == old
        with pytest.raises(SelfActivation, match="bo proposed"):
            activate(old, bo, later)
        activate(old, ada, later)
        assert queries.active_digest() == old.digest
        assert [
            json.loads(bytes(e.body))["body"]["anew"] for e in events("policy.proposed", since)
        ] == [
            False,
            False,
            True,
        ]

    def test_what_the_installation_began_with_goes_back_by_two_people_too(self, keepers, now):
        ada, bo = keepers
        first = operations.install_first(files=files(), actor=INSTALLER, now=now).bundle
        activate(propose(ada, now, max_duration="2h"), bo, now)
        with pytest.raises(NotProposedAnew):
            activate(first, bo, now)

    def test_rolls_back_to_an_older_one_and_keeps_the_history(self, keepers, now):
        ada, bo = keepers
        old, new = propose(ada, now), propose(ada, now, max_duration="2h")
        for bundle in (old, new):
            activate(bundle, bo, now)
        later = now + dt.timedelta(seconds=1)
        activate(propose(ada, later), bo, later)
        active = queries.active()
        assert active is not None
        assert active.bundle == old
        assert [row.bundle for row in queries.history()] == [old, new, old]

    def test_checks_again_because_people_leave(self, keepers, now):
        ada, bo = keepers
        person("olga", "owners")
        step = '[{if: true, chain: [{any_of: ["group:owners"]}]}]'
        text = policy(
            rule(approvals=step), tests=CASES.replace("outcome: auto", "outcome: needs_approval")
        )
        bundle = operations.propose(
            files={"house.yaml": text}, actor=acting(ada), user=ada, now=now
        )
        leavers = [one.pk for one in identity.members_of("owners")]
        User.objects.filter(pk__in=leavers).update(is_active=False, disabled_at=now)
        with pytest.raises(PolicyRefused, match="nobody can satisfy"):
            activate(bundle, bo, now)


class TestInstallFirst:
    def install(self, now, actor=INSTALLER, **parts):
        return operations.install_first(files=files(**parts), actor=actor, now=now)

    def test_puts_the_first_in_force_without_a_second_person(self, now, since):
        activation = self.install(now)
        assert queries.active() == activation
        assert events("policy.activated", since)

    def test_works_once(self, now):
        self.install(now)
        with pytest.raises(AlreadyInstalled):
            self.install(now, max_duration="2h")
        assert PolicyActivation.objects.count() == 1

    def test_is_not_for_the_web(self, keepers, now):
        with pytest.raises(NotAllowed):
            self.install(now, actor=acting(keepers[0], Channel.WEB))

    def test_refuses_a_policy_with_an_error(self, now):
        with pytest.raises(PolicyRefused):
            self.install(now, who="usr")
        assert queries.active() is None

    def test_can_be_followed_by_anybody_who_may(self, keepers, now):
        ada, bo = keepers
        self.install(now)
        activate(propose(ada, now, max_duration="2h"), bo, now)


class TestWatchDrift:
    @pytest.fixture
    def folder(self, tmp_path, settings, now):
        settings.POLICY_DIR = tmp_path
        (tmp_path / "house.yaml").write_text(files()["house.yaml"])
        operations.install_first(files=files(), actor=INSTALLER, now=now)
        return tmp_path

    def watch(self, now):
        return operations.watch_drift(actor=CLOCK, now=now)

    def test_is_quiet_while_the_files_are_those_in_force(self, folder, now, since):
        assert self.watch(now) is None
        assert not events("policy.drift", since)

    def test_rings_once_for_each_difference(self, folder, now, since):
        (folder / "house.yaml").write_text("# changed")
        (folder / "more.yaml").write_text("")
        for _ in range(3):
            drift = self.watch(now + dt.timedelta(minutes=1))
            assert drift is not None
            assert str(drift) == "added more.yaml; changed house.yaml"
        assert len(events("policy.drift", since)) == 1
        (folder / "more.yaml").unlink()
        self.watch(now)
        assert len(events("policy.drift", since)) == 2

    def test_rings_again_after_it_was_mended(self, folder, now, since):
        good = (folder / "house.yaml").read_text()
        for text in ("# changed", good, "# changed"):
            (folder / "house.yaml").write_text(text)
            self.watch(now)
        assert len(events("policy.drift", since)) == 2

    def test_takes_a_missing_folder_for_a_drift(self, folder, now, since, settings):
        settings.POLICY_DIR = folder / "gone"
        assert self.watch(now) is not None
        assert len(events("policy.drift", since)) == 1


class TestRecordShadow:
    def record(self, ruling, now):
        operations.record_shadow(
            ruling=ruling,
            subject=Subject(type="role", id="1", label="orders-db-reader"),
            actor=CLOCK,
            now=now,
        )

    def test_writes_down_what_differs_and_nothing_else(self, now, since):
        shadow = Shadow(Outcome.DENIED, None, ("g",), 0, (), ("outcome",))
        self.record(Ruling(outcome=Outcome.AUTO), now)
        assert not events("policy.shadow-differs", since)
        self.record(Ruling(outcome=Outcome.AUTO, shadow=shadow), now)
        assert len(events("policy.shadow-differs", since)) == 1
