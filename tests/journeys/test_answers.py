"""What people may answer to a request, and what happens when they are late or wrong."""

from __future__ import annotations

from tests.support.processes import ADMIN, WRITER, Running


class TestDeny:
    def test_ends_it_for_everybody(self, jit: Running) -> None:
        request_id = jit.rita.ask().json()["id"]
        assert jit.ada.decide(request_id, "deny").status_code == 422  # a no says why
        denied = jit.ada.decide(request_id, "deny", comment="Use the replica.")
        assert denied.status_code == 201
        assert denied.json()["state"] == "DENIED"
        late = jit.bo.decide(request_id)
        assert late.status_code == 409
        assert "denied by ada" in late.json()["detail"]
        assert jit.rita.request(request_id)["grant"] is None


class TestWithdraw:
    def test_closes_the_chain(self, jit: Running) -> None:
        request_id = jit.rita.ask().json()["id"]
        assert jit.ada.post(f"requests/{request_id}/withdraw/").status_code == 403
        assert jit.rita.post(f"requests/{request_id}/withdraw/").json()["state"] == "WITHDRAWN"
        assert jit.rita.post(f"requests/{request_id}/withdraw/").status_code == 200
        late = jit.ada.decide(request_id)
        assert late.status_code == 409
        assert late.json()["code"] == "RequestWithdrawn"


class TestApprove:
    def test_may_be_for_less_but_never_for_more(self, jit: Running) -> None:
        request_id = jit.rita.ask(duration_seconds=600).json()["id"]
        longer = jit.ada.decide(request_id, duration_seconds=900)
        assert longer.status_code == 422
        shorter = jit.ada.decide(request_id, duration_seconds=60)
        assert shorter.json()["granted_seconds"] == 60
        grant = jit.wait(shorter.json()["grant"]["id"], "ACTIVE")
        assert grant["duration_seconds"] == 60
        jit.give_back(grant["id"])

    def test_twice_is_one_decision(self, jit: Running) -> None:
        request_id = jit.rita.ask().json()["id"]
        first, second = jit.ada.decide(request_id), jit.ada.decide(request_id)
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["grant"]["id"] == second.json()["grant"]["id"]
        assert len(second.json()["chain"][0]["decisions"]) == 1

    def test_is_never_the_requesters_own(self, jit: Running) -> None:
        request_id = jit.ada.ask(WRITER, "OPS-3").json()["id"]
        own = jit.ada.decide(request_id)
        assert own.status_code == 403
        assert own.json()["code"] == "SelfApproval"
        assert jit.bo.decide(request_id).status_code == 201

    def test_of_two_steps_takes_two_people(self, jit: Running) -> None:
        request_id = jit.rita.ask(ADMIN).json()["id"]
        assert jit.ada.decide(request_id).json()["state"] == "PENDING"
        again = jit.ada.decide(request_id)
        assert again.status_code == 200  # her word of step 1, repeated: nothing changes
        assert jit.rita.request(request_id)["state"] == "PENDING"
        assert jit.rita.post(f"requests/{request_id}/withdraw/").status_code == 200

    def test_is_not_an_operators_or_strangers(self, jit: Running) -> None:
        request_id = jit.rita.ask().json()["id"]
        assert jit.opal.decide(request_id).status_code == 403
        assert jit.otto.decide(request_id).status_code == 404
        assert jit.rita.request(request_id)["state"] == "PENDING"


class TestAskTwice:
    def test_points_to_the_one_that_is_pending(self, jit: Running) -> None:
        first = jit.rita.ask().json()["id"]
        second = jit.rita.ask()
        assert second.status_code == 409
        assert second.json()["code"] == "AlreadyPending"
        assert second.json()["request"] == first

    def test_points_to_the_grant_that_is_live(self, jit: Running) -> None:
        _, grant_id = jit.active()
        again = jit.rita.ask()
        assert again.json()["code"] == "AlreadyElevated"
        assert again.json()["grant"] == grant_id
        jit.give_back(grant_id)

    def test_with_one_key_is_one_request(self, jit: Running) -> None:
        ask = {
            "role": WRITER,
            "ticket": "OPS-1",
            "justification": "x",
            "duration_seconds": 60,
        }
        key = {"Idempotency_Key": "the-same-click"}
        first = jit.rita.post("requests/", ask, **key)
        second = jit.rita.post("requests/", ask, **key)
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["id"] == second.json()["id"]
