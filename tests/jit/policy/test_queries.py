from __future__ import annotations

import pytest

from jit.kernel import clock
from jit.policy import eligibility, operations, queries
from jit.policy.queries import UnknownBundle
from tests.jit.policy.support import NOW, policy, rule
from tests.support.people import INSTALLER, group, person

pytestmark = pytest.mark.django_db

CASES = (
    "{defaults: {user: {id: rita, groups: [payments-sre]}, role: {slug: orders-db-reader, "
    "target: orders-db, max_duration: 2h}, ticket: {key: OPS-1, known: true}, "
    "request: {duration: 30m}}, cases: [{name: in, expect: {outcome: auto}}]}"
)
WHO = "'\"payments-sre\" in user.groups'"
RITA = {"id": "rita", "groups": ["payments-sre"]}
OTTO = {"id": "otto", "groups": []}


def install(**parts):
    text = policy(rule(**parts), tests=CASES)
    return operations.install_first(files={"house.yaml": text}, actor=INSTALLER, now=clock.now())


def roles(*slugs):
    return [{"role": {"slug": slug, "tags": {}}, "target": {"slug": "orders-db"}} for slug in slugs]


def ask(user, *slugs):
    return queries.eligible_roles(user=user, roles=roles(*slugs), now=NOW)


class TestEligibleRoles:
    def test_is_what_the_policy_in_force_says(self):
        install(who=WHO)
        answers = ask(RITA, "orders-db-reader", "orders-db-admin")
        assert answers["orders-db-reader"].eligible
        assert not answers["orders-db-admin"].eligible
        assert not ask(OTTO, "orders-db-reader")["orders-db-reader"].eligible

    def test_is_nothing_while_no_policy_is_in_force(self):
        answer = ask(RITA, "orders-db-reader")["orders-db-reader"]
        assert not answer.eligible
        assert "No policy is in force" in answer.message

    def test_indexes_the_roles_once_and_again_when_one_changes(self, monkeypatch):
        install(match="{role.target: orders-db}")
        indexed = []
        index_roles = eligibility.index_roles

        def counting(**given):
            indexed.append(len(given["roles"]))
            return index_roles(**given)

        monkeypatch.setattr(eligibility, "index_roles", counting)
        queries._indexes.clear()
        asked = roles("a", "b")
        for _ in range(3):
            queries.eligible_roles(user=RITA, roles=asked, now=NOW)
        assert indexed == [2]
        asked[0]["target"]["slug"] = "other"
        answers = queries.eligible_roles(user=RITA, roles=asked, now=NOW)
        assert indexed == [2, 2]
        assert (answers["a"].eligible, answers["b"].eligible) == (False, True)

    def test_takes_one_statement_however_many_roles(self, django_assert_num_queries):
        install(who=WHO)
        ask(RITA, "orders-db-reader")
        with django_assert_num_queries(1):
            ask(RITA, *(f"role-{n}" for n in range(100)))


class TestBundleByDigest:
    def test_finds_it_by_its_beginning(self):
        bundle = install().bundle
        assert queries.bundle_by_digest(bundle.digest[:8]) == bundle

    @pytest.mark.parametrize("prefix", ["", "00000000", "%", "short", "'; --"])
    def test_refuses_what_names_none(self, prefix):
        install()
        with pytest.raises(UnknownBundle):
            queries.bundle_by_digest(prefix)


class TestDrift:
    def test_names_what_was_added_removed_and_changed(self, tmp_path):
        install()
        (tmp_path / "other.yaml").write_text("x")
        drift = queries.drift(tmp_path)
        assert drift is not None
        assert (drift.added, drift.removed) == (("other.yaml",), ("house.yaml",))

    def test_is_none_for_the_same_files_with_other_line_ends(self, tmp_path):
        bundle = install().bundle
        text = bundle.files["house.yaml"].replace("\n", "\r\n")
        (tmp_path / "house.yaml").write_bytes(text.encode())
        assert queries.drift(tmp_path) is None


class TestDirectory:
    def test_counts_active_people_and_knows_what_depends_on_the_request(self):
        person("ada", "payments-leads")
        person("bo", "payments-leads")
        group("empty")
        directory = queries.directory()
        assert directory.people("group:payments-leads") == 2
        assert directory.people("group:empty") == directory.people("group:ghosts") == 0
        assert directory.people("user:ada") == 1
        assert directory.people("user:nobody") == 0
        for expression in ("manager", "role-owner", "ticket-assignee", "oncall:payments"):
            assert directory.people(expression) is None
        assert {"payments-leads", "empty"} <= directory.groups
