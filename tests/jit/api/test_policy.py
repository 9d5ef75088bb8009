"""Policy over REST: read, proposed, compared, tried and put in force by a second person."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from jit.audit.models import AuditEvent
from jit.identity.permissions import Permission
from jit.identity.step_up import HEADER
from jit.kernel import clock
from jit.policy.models import PolicyBundle
from tests.jit.api.test_statements import Statements, within
from tests.jit.policy.support import policy, rule
from tests.support import people
from tests.support.world import WRITER, World

CASES = (
    "{{defaults: {{user: {{id: rita}}, role: {{slug: orders-db-reader, max_duration: 2h}}, "
    "ticket: {{key: OPS-1, known: true}}, request: {{duration: 30m}}}}, "
    "cases: [{{name: in, expect: {{outcome: auto}}}}, {{name: {name}, given: {{role.slug: "
    "orders-db-writer}}, expect: {{outcome: {outcome}}}}}]}}"
)
NOTHING = {
    "name.yaml": policy(rule(), tests=CASES.format(name="no writing", outcome="not_eligible"))
}


def propose(world: World, name: str = "opal", files: Any = None, **more: Any) -> Any:
    body = {"files": NOTHING if files is None else files, "comment": "try", **more}
    return world.api(name).post("policy/candidates/", body)


def put_in_force(world: World, digest: str, name: str = "olga", **body: str) -> Any:
    """Activate by program, with a code given for this act."""
    user = world.user(name)
    user.totp_devices.all().delete()
    code = people.enrolled(user, now=clock.now()).code(clock.now())
    path = f"policy/candidates/{digest}/activate/"
    return world.api(name).post(path, body, {HEADER: code})


class TestPolicy:
    def test_tells_what_is_in_force_and_how_it_fares(self, world: World) -> None:
        answer = world.api("udo").get("policy/")
        assert answer.status_code == 200
        told = answer.json()
        assert told["in_force"] is True
        assert list(told["files"]) == ["demo.yaml"]
        assert told["tests"]
        assert {case["passed"] for case in told["tests"]} == {True}
        assert (told["broken"], told["activated_by"]) == ("", None)
        assert told["drift"]["added"] == ["payments.yaml"]

    def test_tells_what_the_linter_finds(self, world: World) -> None:
        finding = "'\"no-such-group\" in user.groups'"
        files = {"a.yaml": NOTHING["name.yaml"].replace("who: 'true'", f"who: {finding}")}
        refused = propose(world, files=files)
        assert refused.status_code == 422
        cases = CASES.format(name="no writing", outcome="not_eligible").replace(
            "user: {id: rita}", "user: {id: rita, groups: [no-such-group]}"
        )
        files = {"a.yaml": policy(rule(who=finding), tests=cases)}
        digest = propose(world, files=files).json()["digest"]
        found = world.api("udo").get(f"policy/candidates/{digest}/").json()["findings"]
        said = [(one["severity"], one["message"]) for one in found]
        assert ("warning", "there is no group no-such-group") in said
        put_in_force(world, digest)
        page = people.signed_in(Client(), world.user("udo")).get("/policy/").content.decode()
        assert "there is no group no-such-group" in page

    @pytest.mark.parametrize("path", ["policy/", "policy/candidates/"])
    def test_is_not_for_everybody(self, world: World, path: str) -> None:
        for name in ("rita", "ada", "otto"):
            answer = world.api(name).get(path)
            assert answer.status_code == 403
            assert "policy:read" in answer.json()["detail"]

    def test_takes_few_statements(self, world: World) -> None:
        udo = world.api("udo")
        udo.get("policy/")
        with Statements() as statements:
            udo.get("policy/")
        within(statements, 12, "GET policy/")


class TestCandidates:
    def test_are_proposed_once(self, world: World) -> None:
        first, again = propose(world), propose(world, comment="another word")
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert first.json()["proposed_by"] == "opal"
        assert first.json()["in_force"] is False
        assert AuditEvent.objects.filter(action="policy.proposed").count() == 2  # the demo's too

    def test_are_listed_newest_first_and_paged(self, world: World) -> None:
        digest = propose(world).json()["digest"]
        udo = world.api("udo")
        first = udo.get("policy/candidates/", limit="1").json()
        rest = udo.get("policy/candidates/", limit="1", cursor=first["next"]).json()
        assert [one["digest"] for one in first["items"]] == [digest]
        assert [one["in_force"] for one in rest["items"]] == [True]
        assert rest["next"] is None

    def test_take_few_statements_however_many_there_are(self, world: World) -> None:
        opal = world.user("opal")
        PolicyBundle.objects.bulk_create(
            PolicyBundle(
                digest=f"{number:064x}", files={}, proposed_by=opal, proposed_at=clock.now()
            )
            for number in range(60)
        )
        udo = world.api("udo")
        udo.get("me/")
        with Statements() as statements:
            answer = udo.get("policy/candidates/")
        assert len(answer.json()["items"]) == 50
        within(statements, 5, "policy/candidates/ of 50")

    @pytest.mark.parametrize(
        ("files", "status"),
        [
            ({}, 400),
            ([], 400),
            ("x", 400),
            ({"a.yaml": 1}, 400),
            ({"../a.yaml": "x"}, 400),
            ({"a\x00.yaml": "x"}, 400),
            ({"a.txt": "x"}, 400),
            ({"a.yaml": "x" * 200_001}, 400),
            ({"a.yaml": "nul \x00"}, 400),
            ({f"a{n}.yaml": "x" for n in range(201)}, 400),
            ({"a.yaml": ""}, 422),
            ({"a.yaml": "{"}, 422),
            ({"a.yaml": "[" * 8000}, 422),
            ({"a.yaml": "mode: " + "9" * 5000}, 422),
            ({"a.yaml": NOTHING["name.yaml"].replace("auto", "denied")}, 422),
        ],
    )
    def test_that_are_none_are_refused(self, world: World, files: Any, status: int) -> None:
        answer = propose(world, files=files)
        assert answer.status_code == status, answer.content
        if status == 422:
            assert answer.json()["code"] == "PolicyRefused"
            assert answer.json()["problems"]
        else:
            assert next(iter(answer.json()["errors"])).startswith("files")
        assert len(world.api("udo").get("policy/candidates/").json()["items"]) == 1

    def test_are_proposed_by_whoever_may(self, world: World) -> None:
        for name in ("olga", "udo", "rita"):
            assert propose(world, name).status_code == 403

    @pytest.mark.parametrize("digest", ["0123456789ab", "short", "x" * 300, "%00aaaaaaaa", "%ff"])
    def test_that_nobody_knows_are_not_found(self, world: World, digest: str) -> None:
        olga = world.api("olga")
        assert olga.get(f"policy/candidates/{digest}/").status_code == 404
        assert olga.get(f"policy/candidates/{digest}/simulation/").status_code == 404
        assert olga.post(f"policy/candidates/{digest}/activate/").status_code == 404


class TestCandidate:
    def test_shows_what_differs_and_whom_it_would_touch(self, world: World) -> None:
        request = world.ask()
        digest = propose(world).json()["digest"]
        olga = world.api("olga")
        told = olga.get(f"policy/candidates/{digest[:12]}/").json()
        assert set(told["diff"]) == {"demo.yaml", "name.yaml"}
        assert "+metadata: {name: house, owner: sre}" in told["diff"]["name.yaml"]
        found = olga.get(f"policy/candidates/{digest}/simulation/").json()
        assert (found["asked"], found["differing_count"]) == (1, 1)
        page = people.signed_in(Client(), world.user("olga"))
        drawn = page.get(f"/policy/{digest}/simulation/", headers={"HX-Request": "true"})
        assert b"loses" in drawn.content
        assert b"<html" not in drawn.content
        assert found["differing"] == [
            {
                "request": str(request.pk),
                "person": "rita",
                "role": WRITER,
                "effect": "loses",
                "before": "needs_approval (7200 s, 1 steps)",
                "after": "not_eligible",
            }
        ]

    def test_is_tried_on_what_one_may_see_only(self, world: World) -> None:
        world.ask()
        world.give("strangers", Permission.POLICY_READ)
        people.person("max", "strangers")
        digest = propose(world).json()["digest"]
        found = world.api("max").get(f"policy/candidates/{digest}/simulation/").json()
        assert (found["asked"], found["differing"]) == (0, [])

    @pytest.mark.parametrize("days", ["0", "366", "x", "-1", "٣", "9" * 40])
    def test_is_not_tried_on_days_that_are_none(self, world: World, days: str) -> None:
        digest = propose(world).json()["digest"]
        answer = world.api("olga").get(f"policy/candidates/{digest}/simulation/", days=days)
        assert answer.status_code == 400
        assert set(answer.json()["errors"]) == {"days"}


class TestActivation:
    def test_is_a_second_persons(self, world: World) -> None:
        world.give("operators", Permission.POLICY_ACTIVATE)
        digest = propose(world).json()["digest"]
        own = put_in_force(world, digest, "opal")
        assert own.status_code == 403
        assert own.json()["code"] == "SelfActivation"
        assert world.api("rita").post(f"policy/candidates/{digest}/activate/").status_code == 403
        olga = world.api("olga")
        done = put_in_force(world, digest, comment="agreed")
        assert done.status_code == 200
        assert done.json()["in_force"] is True
        told = olga.get("policy/").json()
        assert (told["digest"], told["activated_by"]) == (digest, "olga")
        again = put_in_force(world, digest)
        assert (again.status_code, again.json()["code"]) == (409, "AlreadyInForce")

    def test_takes_a_second_factor_given_for_it(self, world: World) -> None:
        digest = propose(world).json()["digest"]
        refused = world.api("olga").post(f"policy/candidates/{digest}/activate/")
        assert (refused.status_code, refused.json()["code"]) == (403, "StepUpRequired")
        assert world.api("olga").get("policy/").json()["digest"] != digest

    def test_of_an_older_one_rolls_back_once_it_is_proposed_anew(self, world: World) -> None:
        olga = world.api("olga")
        before = olga.get("policy/").json()
        digest = propose(world).json()["digest"]
        assert put_in_force(world, digest).status_code == 200
        alone = put_in_force(world, before["digest"])
        assert (alone.status_code, alone.json()["code"]) == (409, "NotProposedAnew")
        assert propose(world, files=before["files"]).status_code == 201
        assert put_in_force(world, before["digest"]).status_code == 200
        assert olga.get("policy/").json()["digest"] == before["digest"]
