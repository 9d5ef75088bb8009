"""Every way in which a grant ends, or is made longer, while everything runs."""

from __future__ import annotations

import psycopg
import pytest

from tests.journeys.test_elevation import is_cut
from tests.support.processes import ADMIN, WRITER, Running, until


class TestReturn:
    def test_is_the_holders_alone(self, jit: Running) -> None:
        _, grant_id = jit.active()
        assert jit.ada.post(f"grants/{grant_id}/return/").status_code == 403
        assert jit.give_back(grant_id)["end_reason"] == "returned"
        assert jit.rita.post(f"grants/{grant_id}/return/").status_code == 200  # a double click


class TestRevoke:
    def test_takes_a_reason_and_cuts_the_connection(self, jit: Running) -> None:
        _, grant_id = jit.active()
        connection = jit.log_in(jit.credential(grant_id))
        assert jit.olga.post(f"grants/{grant_id}/revoke/", {"reason": " "}).status_code == 422
        said = jit.olga.post(f"grants/{grant_id}/revoke/", {"reason": "Wrong database."})
        assert said.status_code == 200
        assert said.json()["state"] == "REVOKING"
        ended = jit.wait(grant_id, "ENDED")
        assert (ended["end_reason"], ended["end_comment"]) == ("revoked", "Wrong database.")
        assert is_cut(connection)
        late = jit.olga.post(f"grants/{grant_id}/revoke/", {"reason": "Again."})
        assert late.status_code == 409

    def test_is_not_an_auditors_or_strangers(self, jit: Running) -> None:
        _, grant_id = jit.active()
        for name, status in (("udo", 403), ("otto", 404)):
            answer = jit.person(name).post(f"grants/{grant_id}/revoke/", {"reason": "Because."})
            assert answer.status_code == status
        jit.give_back(grant_id)


class TestExtend:
    def test_takes_a_new_decision_and_moves_the_targets_deadline(self, jit: Running) -> None:
        _, grant_id = jit.active(duration_seconds=120)
        before = jit.rita.grant(grant_id)
        asked = jit.rita.ask(extends=grant_id, duration_seconds=300)
        assert asked.status_code == 201, asked.text
        assert jit.rita.grant(grant_id)["ends_at"] == before["ends_at"]
        assert jit.ada.decide(asked.json()["id"]).status_code == 201
        after = until(
            lambda: jit.rita.grant(grant_id), lambda grant: grant["ends_at"] != before["ends_at"]
        )
        assert after["ends_at"] > before["ends_at"]
        with jit.target() as connection:
            (deadline,) = connection.execute(
                "SELECT rolvaliduntil FROM pg_roles WHERE rolname = %s",
                [f"jit_{grant_id.replace('-', '')}"],
            ).fetchone() or (None,)
        assert deadline is not None
        assert abs(deadline.timestamp() - _stamp(after["ends_at"])) < 1
        jit.give_back(grant_id)

    def test_of_an_ended_grant_is_refused(self, jit: Running) -> None:
        _, grant_id = jit.active()
        jit.give_back(grant_id)
        late = jit.rita.ask(extends=grant_id)
        assert late.status_code == 409
        assert late.json()["code"] == "GrantNotActive"

    def test_pending_when_the_grant_ends_is_withdrawn(self, jit: Running) -> None:
        _, grant_id = jit.active()
        request_id = jit.rita.ask(extends=grant_id).json()["id"]
        jit.give_back(grant_id)
        until(lambda: jit.rita.request(request_id)["state"], lambda state: state == "WITHDRAWN")
        assert jit.ada.decide(request_id).status_code == 409


class TestTicketClosed:
    def test_ends_a_risky_grant_after_its_notice(self, jit: Running) -> None:
        key = _open_ticket(jit)
        _, grant_id = jit.active(ADMIN, ticket=key)
        connection = jit.log_in(jit.credential(grant_id))
        assert jit.rita.post(f"tickets/{key}/close/").status_code == 200
        told = until(lambda: jit.rita.grant(grant_id), lambda grant: grant["revoke_at"])
        assert told["state"] in {"ACTIVE", "REVOKING", "ENDED"}
        assert told["end_comment"] == f"Ticket {key} is closed."
        ended = jit.wait(grant_id, "ENDED")
        assert ended["end_reason"] == "ticket-closed"
        assert is_cut(connection)

    def test_leaves_a_lesser_grant_alone(self, jit: Running) -> None:
        key = _open_ticket(jit)
        _, grant_id = jit.active(WRITER, ticket=key)
        jit.rita.post(f"tickets/{key}/close/")
        seen = "from jit.workflow import ticket_changed as t; print('ending', t.poll())"
        assert "ending 0" in jit.manage("shell", "-c", seen)
        assert jit.rita.grant(grant_id)["revoke_at"] is None
        jit.give_back(grant_id)

    def test_before_the_yes_gives_nothing(self, jit: Running) -> None:
        key = _open_ticket(jit)
        request_id = jit.rita.ask(ticket=key).json()["id"]
        jit.rita.post(f"tickets/{key}/close/")
        grant_id = jit.ada.decide(request_id).json()["grant"]["id"]
        ended = jit.wait(grant_id, "WITHDRAWN")
        assert ended["end_reason"] == "ticket-closed"
        assert f"jit_{grant_id.replace('-', '')}" not in jit.roles()


class TestLeaver:
    def test_loses_everything_at_once(self, jit: Running) -> None:
        lena = jit.newcomer("lena")
        request_id = lena.ask(WRITER, "OPS-3").json()["id"]
        grant_id = jit.ada.decide(request_id).json()["grant"]["id"]
        until(lambda: lena.grant(grant_id)["state"], lambda state: state == "ACTIVE")
        credential = lena.post(f"grants/{grant_id}/credential/").json()
        connection = jit.log_in(credential)
        pending = lena.ask(ADMIN, "OPS-3").json()["id"]
        jit.manage("account", "lena", "--disable", "--reason", "left the company")
        refused = lena.get("me/")
        assert refused.status_code == 401
        ended = jit.wait(grant_id, "ENDED", by="olga")
        assert ended["end_reason"] == "requester-left"
        assert is_cut(connection)
        with pytest.raises(psycopg.OperationalError):
            jit.log_in(credential)
        assert jit.olga.request(pending)["state"] == "WITHDRAWN"
        assert jit.ada.decide(pending).status_code == 409


def _open_ticket(jit: Running) -> str:
    wanted = {"title": "A journey", "severity": 2, "assignee": "rita", "service": "orders"}
    key: str = jit.rita.post("tickets/", wanted).json()["key"]
    return key


def _stamp(text: str) -> float:
    import datetime as dt

    return dt.datetime.fromisoformat(text).timestamp()
