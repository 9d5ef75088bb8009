from __future__ import annotations

import datetime as dt
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from jit.catalog.models import Role, Target
from jit.elevation.models import ElevationRequest
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.ids import uuid7
from jit.policy import operations, queries
from tests.jit.policy.support import facts, policy, rule
from tests.support.people import INSTALLER, enrolled, group, person

pytestmark = pytest.mark.django_db

CASES = (
    "{defaults: {user: {id: rita}, role: {slug: orders-db-reader, max_duration: 2h}, "
    "ticket: {key: OPS-1, known: true}, request: {duration: 30m}}, "
    "cases: [{name: rita reads, expect: {outcome: auto}}]}"
)


def house(**parts):
    return policy(rule(**parts), tests=CASES)


@pytest.fixture
def folder(tmp_path, settings):
    settings.POLICY_DIR = tmp_path
    (tmp_path / "house.yaml").write_text(house())
    return tmp_path


@pytest.fixture
def installed(folder):
    return operations.install_first(files={"house.yaml": house()}, actor=INSTALLER, now=clock.now())


@pytest.fixture
def keepers(monkeypatch):
    """What ada and bo say at the terminal, by name: their next code, each time they are asked."""
    group("policy-keepers", Permission.POLICY_PROPOSE, Permission.POLICY_ACTIVATE)
    people = {name: person(name, "policy-keepers") for name in ("ada", "bo")}
    apps = {name: enrolled(user, now=clock.now()) for name, user in people.items()}

    def says(name, *, ahead=0):
        code = apps[name].code(clock.now(), ahead=ahead)
        monkeypatch.setattr(sys, "stdin", StringIO(f"{code}\n"))

    return says


@pytest.fixture
def request_of_rita(installed):
    """A request that was admitted by the installed policy, with its ruling."""
    now = clock.now()
    target = Target.objects.create(slug="orders-db", name="orders-db", kind="postgresql")
    role = Role.objects.create(
        slug="orders-db-reader", target=target, name="reader", risk="low",
        owner_group=group("sre-managers"), max_duration_seconds=7200,
    )  # fmt: skip
    return ElevationRequest.objects.create(
        requester=person("rita"), role=role, ticket_system="local", ticket_key="OPS-1",
        justification="look", duration_seconds=1800, granted_seconds=1800, channel="cli",
        ruling=operations.rule(facts(), now).as_json(), created_at=now,
        lapses_at=now + dt.timedelta(hours=1),
    )  # fmt: skip


def run(*arguments):
    out, err = StringIO(), StringIO()
    call_command("policy", *map(str, arguments), stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


class TestCheck:
    def test_passes_a_good_policy(self, folder):
        assert "has no errors; 1 tests pass" in run("check")
        assert "has no errors" in run("check", folder, "--offline")

    def test_fails_and_points_at_the_mistake(self, folder):
        (folder / "house.yaml").write_text(house(who="ticket.severty == 1"))
        err = StringIO()
        with pytest.raises(CommandError, match=r"1 error"):
            call_command("policy", "check", stderr=err)
        assert "rule open-door: who.expr: there is no ticket.severty" in err.getvalue()
        assert err.getvalue().startswith("house.yaml:10:")

    def test_says_when_there_is_nothing(self, tmp_path):
        with pytest.raises(CommandError, match="There are no policy files"):
            run("check", tmp_path / "none")


class TestTest:
    def test_names_what_passes(self, folder):
        assert "ok   house.yaml rita reads" in run("test")

    def test_fails_with_what_came_instead(self, folder):
        (folder / "house.yaml").write_text(house(who="'false'"))
        out = StringIO()
        with pytest.raises(CommandError, match="1 of 1 tests fail"):
            call_command("policy", "test", stdout=out)
        assert "outcome: expected 'auto', got 'not_eligible'" in out.getvalue()


class TestDiff:
    def test_is_empty_for_what_is_in_force(self, installed):
        assert run("diff") == ""

    def test_shows_what_differs(self, installed, folder):
        (folder / "house.yaml").write_text(house(max_duration="2h"))
        text = run("diff")
        assert "-      max_duration: 1h" in text
        assert "+      max_duration: 2h" in text


class TestProposeAndActivate:
    def test_take_two_people(self, installed, folder, keepers):
        (folder / "house.yaml").write_text(house(max_duration="2h"))
        keepers("ada")
        text = run("propose", "--as", "ada", "--comment", "longer")
        digest = text.split()[1]
        keepers("ada", ahead=1)
        with pytest.raises(CommandError, match="somebody else must activate"):
            run("activate", digest[:12], "--as", "ada")
        keepers("bo")
        assert f"{digest} is in force" in run("activate", digest[:12], "--as", "bo")
        assert queries.active_digest() == digest
        shown = run("show")
        assert f"* {digest} by ada" in shown
        assert "activated by bo" in shown
        assert "drift" not in shown
        assert "max_duration: 2h" in run("show", digest[:12])

    def test_one_person_with_a_shell_is_not_two(self, installed, folder, keepers, monkeypatch):
        """`--as` was believed: whoever had a shell proposed as one and activated as another."""
        (folder / "house.yaml").write_text(house(max_duration="2h"))
        monkeypatch.setattr(sys, "stdin", StringIO(""))
        with pytest.raises(CommandError, match="takes a code of ada's authenticator"):
            run("propose", "--as", "ada")
        assert queries.bundles().count() == 1
        keepers("ada")
        digest = run("propose", "--as", "ada").split()[1]
        keepers("ada", ahead=1)
        with pytest.raises(CommandError, match="code"):
            run("activate", digest, "--as", "bo")
        assert queries.active_digest() != digest

    def test_the_very_first_takes_one_person_once(self, folder):
        assert "is in force" in run("install")
        with pytest.raises(CommandError, match="in force already"):
            run("install")

    def test_refuse_a_stranger_and_nobody(self, installed, keepers):
        person("otto")
        with pytest.raises(CommandError, match="policy:propose"):
            run("propose", "--as", "otto")
        with pytest.raises(CommandError, match="no active account called nobody"):
            run("propose", "--as", "nobody")

    def test_list_every_problem(self, installed, folder, keepers):
        (folder / "house.yaml").write_text(house(who="usr.id", max_duration="ticket.x"))
        keepers("ada")
        with pytest.raises(CommandError) as refused:
            run("propose", "--as", "ada")
        assert "there is no usr.id" in str(refused.value)
        assert "there is no ticket.x" in str(refused.value)

    def test_show_drift(self, installed, folder):
        (folder / "house.yaml").write_text(house(max_duration="2h"))
        assert "is not what is in force: changed house.yaml" in run("show")


class TestExplain:
    def test_shows_the_ruling_as_it_was_stored(self, request_of_rita):
        text = run("explain", request_of_rita.pk)
        assert text.startswith("auto by rule open-door")
        assert "ok   true" in text

    def test_shows_what_a_candidate_would_have_said(self, request_of_rita, tmp_path):
        candidate = tmp_path / "candidate"
        candidate.mkdir()
        (candidate / "house.yaml").write_text(house(who='user.id == "ada"'))
        text = run("explain", request_of_rita.pk, "--candidate", candidate)
        assert text.startswith("not_eligible")
        assert 'FAIL user.id == "ada"' in text

    def test_knows_no_other_request(self, installed):
        with pytest.raises(CommandError, match="no request with that id"):
            run("explain", uuid7())


class TestSimulate:
    def test_says_who_would_lose_with_the_requests_id(self, request_of_rita, tmp_path):
        candidate = tmp_path / "candidate"
        candidate.mkdir()
        (candidate / "house.yaml").write_text(house(who='user.id == "ada"'))
        text = run("simulate", "--since", "90d", "--candidate", candidate)
        assert "loses (1):" in text
        assert f"{request_of_rita.pk}  rita for orders-db-reader" in text

    def test_leaves_older_requests_alone(self, request_of_rita):
        ElevationRequest.objects.update(created_at=clock.now() - dt.timedelta(days=9))
        assert "0 requests replayed" in run("simulate", "--since", "7d")
        assert "nobody gains and nobody loses" in run("simulate", "--since", "10d")

    def test_reads_days_only(self, installed):
        with pytest.raises(CommandError):
            run("simulate", "--since", "90")


class TestRolesThatCouldBeUsedUnrecorded:
    def test_are_told_when_checking_and_when_activating(self, installed, folder, keepers, capsys):
        target = Target.objects.create(
            slug="orders-db", name="x", kind="postgresql",
            config={"host": "db", "user": "s", "password": "file:/s", "allowed_roles": ["ro"]},
        )  # fmt: skip
        Role.objects.create(
            slug="orders-db-reader", target=target, name="reader", risk="low",
            owner_group=group("sre-managers"), max_duration_seconds=7200,
            config={"member_of": "ro"},
        )  # fmt: skip
        (folder / "house.yaml").write_text(house(more="      record: required\n"))
        err = StringIO()
        call_command("policy", "check", str(folder), stdout=StringIO(), stderr=err)
        assert "Role orders-db-reader: policy (open-door) says record: required" in err.getvalue()
        keepers("ada")
        call_command("policy", "propose", str(folder), "--as", "ada", stdout=StringIO())
        digest = queries.bundles().first().digest
        err = StringIO()
        keepers("bo")
        call_command("policy", "activate", digest, "--as", "bo", stdout=StringIO(), stderr=err)
        assert "set `direct: false`" in err.getvalue()
