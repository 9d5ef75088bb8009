"""Privilege now, and the review it owes."""

from __future__ import annotations

from tests.support.processes import READER, WRITER, Running

ASK = {
    "role": WRITER,
    "justification": "Every payment fails and nobody answers.",
    "duration_seconds": 60,
}


class TestBreakGlass:
    def test_elevates_at_once_and_owes_a_review(self, jit: Running) -> None:
        used = jit.rita.post("break-glass/", ASK | {"promise_ticket": True, "otp": jit.rita.code()})
        assert used.status_code == 201, used.text
        request = used.json()
        assert request["state"] == "APPROVED"
        grant_id = request["grant"]["id"]
        jit.wait(grant_id, "ACTIVE")
        jit.log_in(jit.credential(grant_id)).close()

        review = next(
            item
            for item in jit.olga.get("reviews/", state="OPEN").json()["items"]
            if item["request"] == request["id"]
        )
        own = jit.rita.post(f"reviews/{review['id']}/", {"outcome": "confirm"})
        assert own.status_code == 403
        assert jit.otto.post(f"reviews/{review['id']}/", {"outcome": "confirm"}).status_code == 404
        filed = jit.rita.post(f"requests/{request['id']}/ticket/", {"ticket": "OPS-4"})
        assert filed.json()["ticket"]["key"] == "OPS-4"
        flag = {"outcome": "flag"}
        assert jit.olga.post(f"reviews/{review['id']}/", flag).status_code == 422
        flagged = jit.olga.post(f"reviews/{review['id']}/", flag | {"comment": "Ask first."})
        assert flagged.json()["state"] == "FLAGGED"
        again = jit.olga.post(f"reviews/{review['id']}/", {"outcome": "confirm"})
        assert again.status_code == 409
        jit.give_back(grant_id)

    def test_takes_a_second_factor_given_just_now(self, jit: Running) -> None:
        before = jit.count()
        without = jit.olga.post("break-glass/", ASK | {"ticket": "OPS-4"})
        assert without.status_code == 403
        assert without.json()["code"] == "StepUpRequired"
        wrong = jit.olga.post("break-glass/", ASK | {"ticket": "OPS-4", "otp": "000000"})
        assert wrong.status_code == 422
        assert wrong.json()["code"] == "CodeWrong"
        assert jit.count() == before

    def test_is_only_where_policy_says_so(self, jit: Running) -> None:
        before = jit.count()
        reader = ASK | {"role": READER, "ticket": "OPS-4", "otp": jit.bo.code()}
        answer = jit.bo.post("break-glass/", reader)
        assert answer.status_code == 403
        assert answer.json()["code"] == "BreakGlassNotAllowed"
        assert jit.count() == before
