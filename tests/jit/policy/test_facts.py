from __future__ import annotations

import datetime as dt
import json

import pytest

from jit.policy.facts import ATTRIBUTES, NO_SEVERITY, Facts, UnknownFact, build
from tests.jit.policy.support import NOW, facts


def nothing_known() -> Facts:
    return build(user={}, role={}, ticket=None, request={}, now=NOW)


class TestBuild:
    def test_gives_every_attribute_a_value(self):
        assert nothing_known().values.keys() == ATTRIBUTES.keys()

    @pytest.mark.parametrize(
        ("name", "closed"),
        [
            ("user.groups", []),
            ("role.risk", "critical"),
            ("role.max_duration", 0),
            ("ticket.known", False),
            ("ticket.is_open", False),
            ("ticket.severity", NO_SEVERITY),
            ("request.change_freeze", True),
            ("request.break_glass", False),
        ],
    )
    def test_takes_what_nobody_knows_as_closed(self, name, closed):
        assert nothing_known()[name] == closed

    def test_makes_an_unknown_second_factor_an_old_one(self):
        assert nothing_known()["request.second_factor_age"] > 365 * 86400

    def test_takes_none_as_unknown(self):
        known = build(user={}, role={}, ticket={"severity": None}, request={}, now=NOW)
        assert known["ticket.severity"] == NO_SEVERITY

    def test_refuses_a_misspelt_name_and_suggests_the_right_one(self):
        with pytest.raises(UnknownFact, match=r"user\.gropus; did you mean user\.groups"):
            build(user={"gropus": []}, role={}, ticket=None, request={}, now=NOW)

    @pytest.mark.parametrize(
        "ticket",
        [{"severity": "1"}, {"severity": True}, {"severity": 1 << 63}, {"is_open": "yes"},
         {"is_open": 1}, {"key": 7}, {"window": -1}],
    )  # fmt: skip
    def test_refuses_a_value_of_another_type(self, ticket):
        with pytest.raises(UnknownFact, match="ticket"):
            build(user={}, role={}, ticket=ticket, request={}, now=NOW)

    def test_refuses_groups_given_as_one_text(self):
        with pytest.raises(UnknownFact):
            build(user={"groups": "payments-sre"}, role={}, ticket=None, request={}, now=NOW)

    def test_reads_of_the_target_what_the_role_does_not_say(self):
        target = {"slug": "orders-db", "team": "payments", "kind": "postgresql", "env": "staging"}
        known = build(user={}, role={}, target=target, ticket=None, request={}, now=NOW)
        assert known["role.target"] == "orders-db"
        assert (known["role.team"], known["role.env"]) == ("payments", "staging")

    def test_takes_a_snapshot_but_not_its_free_text(self):
        snapshot = {"key": "OPS-1", "title": "<!channel>", "url": "https://x", "fetched_at": "now"}
        known = build(user={}, role={}, ticket=snapshot, request={}, now=NOW)
        assert "<!channel>" not in json.dumps(known.as_json())

    def test_reads_hour_and_weekday_in_utc(self):
        at = dt.datetime(2026, 1, 5, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))
        known = build(user={}, role={}, ticket=None, request={}, now=at)
        assert (known["request.hour"], known["request.weekday"]) == (23, 7)

    def test_leaves_out_a_tag_without_a_value(self):
        known = build(
            user={}, role={"tags": {"tier": 1, "gone": None}}, ticket=None, request={}, now=NOW
        )
        assert known["role.tags"] == {"tier": "1"}


class TestFromJson:
    def test_gives_back_what_was_stored(self):
        known = facts(role__tags={"tier": "1"})
        stored = json.loads(json.dumps(known.as_json()))
        assert dict(Facts.from_json(stored).values) == dict(known.values)
        assert Facts.from_json(stored).digest == known.digest

    def test_closes_what_an_older_version_did_not_store(self):
        stored = facts().as_json()
        del stored["ticket"]["severity"]
        stored["user"]["shoe_size"] = 42
        assert Facts.from_json(stored)["ticket.severity"] == NO_SEVERITY


class TestDigest:
    def test_changes_with_a_fact(self):
        assert facts().digest != facts(ticket__severity=1).digest

    def test_does_not_depend_on_the_order_of_groups(self):
        assert facts(user__groups=["b", "a"]).digest == facts(user__groups=["a", "b"]).digest
