"""The main job, as an outsider sees it: ask, approve, work on the target, and be shut out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.support.processes import ADMIN, READER, WRITER, Running, until

VERIFIER = Path(__file__).resolve().parents[2] / "jit" / "audit" / "verifier.py"


def is_cut(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


class TestWriter:
    def test_works_from_preview_to_the_refused_password(self, jit: Running) -> None:
        ask = {
            "role": WRITER,
            "ticket": "OPS-1",
            "justification": "Stuck orders block the refunds.",
            "duration_seconds": 10,
        }
        preview = jit.rita.post("requests/preview/", ask).json()
        assert preview["outcome"] == "needs_approval"
        assert preview["who"] == [["ada", "bo"]]
        assert preview["problem"] is None

        asked = jit.rita.post("requests/", ask)
        assert asked.status_code == 201
        request_id = asked.json()["id"]
        assert asked.json()["state"] == "PENDING"
        assert [item["id"] for item in jit.ada.get("inbox/").json()["items"]] == [request_id]
        assert jit.otto.get(f"requests/{request_id}/").status_code == 404

        said = jit.ada.decide(request_id, comment="Go ahead.")
        assert said.status_code == 201
        assert said.json()["state"] == "APPROVED"
        grant_id = said.json()["grant"]["id"]
        grant = jit.wait(grant_id, "ACTIVE")
        assert 9 < _seconds(grant["starts_at"], grant["ends_at"]) <= 10

        credential = jit.credential(grant_id)
        connection = jit.log_in(credential)
        fixed = connection.execute("UPDATE orders SET state = 'paid' WHERE state = 'stuck'")
        assert fixed.rowcount >= 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE mine (id int)")

        ended = jit.wait(grant_id, "ENDED", seconds=60)
        assert ended["end_reason"] == "expired"
        assert is_cut(connection)
        with pytest.raises(psycopg.OperationalError, match="has ended"):
            jit.log_in(credential)
        sessions = jit.rows(
            "SELECT state, closed_because FROM jit_sessions_accesssession WHERE grant_id = %s",
            grant_id,
        )
        assert [(state in {"CLOSED", "SEALED"}, why) for state, why in sessions] == [
            (True, "expired")
        ]
        assert ended["revocation_verified_at"] >= ended["ends_at"]
        assert ended["evidence"]["connections_found"] == 0
        assert ended["evidence"]["roles_found"] == 0
        assert not {name for name in jit.roles() if name == credential["user"]}
        assert jit.rita.post(f"grants/{grant_id}/credential/").status_code == 409
        jit.everything_is_in_order()

    def test_leaves_a_log_that_a_stranger_can_verify(self, jit: Running, tmp_path: Path) -> None:
        request_id, grant_id = jit.active()
        jit.give_back(grant_id)
        (last,) = jit.rows("SELECT max(seq) FROM audit_event")[0]
        until(
            lambda: jit.rows("SELECT count(*) FROM audit_leaf WHERE seq = %s", last)[0][0],
            seconds=60,
        )
        archive = tmp_path / "log.zip"
        jit.manage("audit_export", "--out", str(archive))
        checked = subprocess.run(
            [sys.executable, "-I", str(VERIFIER), str(archive)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout
        assert checked.stdout.startswith("valid: ")
        events = jit.udo.get("audit/events/", request=request_id).json()["items"]
        assert [event["action"] for event in reversed(events)] == [
            "request.created",
            "chain.created",
            "step.created",
            "step.opened",
            "decision.made",
            "step.approved",
            "chain.approved",
            "request.approved",
            "grant.created",
            "grant.activating",
            "grant.activated",
            "grant.revoking",
            "grant.ended",
        ]


class TestReader:
    def test_needs_nobody_for_a_severe_ticket_of_ones_own(self, jit: Running) -> None:
        asked = jit.rita.ask(READER)
        assert asked.json()["state"] == "APPROVED"
        grant_id = asked.json()["grant"]["id"]
        jit.wait(grant_id, "ACTIVE")
        with jit.log_in(jit.credential(grant_id)) as connection:
            assert connection.execute("SELECT count(*) FROM orders").fetchone() == (5000,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("UPDATE orders SET state = 'paid'")
        jit.give_back(grant_id)

    def test_needs_a_lead_for_somebody_elses_ticket(self, jit: Running) -> None:
        asked = jit.rita.ask(READER, "OPS-3")
        assert asked.json()["state"] == "PENDING"
        assert jit.rita.post(f"requests/{asked.json()['id']}/withdraw/").json()["state"] == (
            "WITHDRAWN"
        )


class TestAdmin:
    def test_takes_a_lead_and_then_the_owner(self, jit: Running) -> None:
        request_id = jit.rita.ask(ADMIN).json()["id"]
        early = jit.olga.decide(request_id)
        assert early.status_code == 403
        assert jit.ada.decide(request_id).json()["state"] == "PENDING"
        assert jit.bo.decide(request_id).status_code == 403  # step 1 is over; step 2 is olga's
        done = jit.olga.decide(request_id)
        assert done.json()["state"] == "APPROVED"
        grant_id = done.json()["grant"]["id"]
        jit.wait(grant_id, "ACTIVE")
        with jit.log_in(jit.credential(grant_id)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS repaired (id int)")
        ended = jit.give_back(grant_id)
        assert ended["evidence"]["roles_found"] == 0


class TestCredential:
    def test_is_handed_to_nobody_else(self, jit: Running) -> None:
        _, grant_id = jit.active()
        for name in ("ada", "olga", "opal", "udo"):
            answer = jit.person(name).post(f"grants/{grant_id}/credential/")
            assert answer.status_code == 403, (name, answer.text)
            assert "password" not in answer.text.lower().replace("the password", "")
        assert jit.otto.post(f"grants/{grant_id}/credential/").status_code == 404
        jit.give_back(grant_id)

    def test_a_second_look_gives_a_second_password_each_for_one_log_in(self, jit: Running) -> None:
        _, grant_id = jit.active()
        first, second = jit.credential(grant_id), jit.credential(grant_id)
        assert first["user"] == second["user"]
        assert first["password"] != second["password"]
        for each in (second, first):
            jit.log_in(each).close()
            with pytest.raises(psycopg.OperationalError, match="it was used"):
                jit.log_in(each)
        jit.give_back(grant_id)


def _seconds(start: str, end: str) -> float:
    import datetime as dt

    return (dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(start)).total_seconds()
