from __future__ import annotations

from jit.connectors import evidence


class TestMerged:
    def test_unites_what_was_found_and_keeps_its_order(self):
        found = evidence.merged({"suspicious": ["b", "a"]}, {"suspicious": ["c", "a"]})
        assert found == {"suspicious": ["b", "a", "c"]}

    def test_sums_what_was_cut_and_says_the_last_look_of_all_else(self):
        first = {
            "connections_cut": 2,
            "connections_found": 1,
            "neutralised": False,
            "was_there": True,
        }
        last = {
            "connections_cut": 1,
            "connections_found": 0,
            "neutralised": True,
            "was_there": False,
        }
        assert evidence.merged(first, last) == {
            "connections_cut": 3,
            "connections_found": 0,
            "neutralised": True,
            "was_there": True,
        }

    def test_says_the_last_memberships_and_not_all_there_ever_were(self):
        assert evidence.merged({"member_of": ["app_rw"]}, {"member_of": []}) == {"member_of": []}

    def test_adds_up_each_host_by_itself(self):
        first = {"hosts": {"a": {"processes_ended": 3, "refused": False}}}
        last = {
            "hosts": {"a": {"processes_ended": 1, "refused": True}, "b": {"processes_ended": 1}}
        }
        assert evidence.merged(first, last)["hosts"] == {
            "a": {"processes_ended": 4, "refused": True},
            "b": {"processes_ended": 1},
        }

    def test_a_database_that_was_looked_in_at_last_was_looked_in(self):
        first = {"looked_in": ["a"], "not_looked_in": {"b": "down", "c": "down"}}
        both = evidence.merged(first, {"looked_in": ["b"]})
        assert both == {"looked_in": ["a", "b"], "not_looked_in": {"c": "down"}}

    def test_bounds_a_list_that_somebody_makes_grow(self):
        known: dict[str, object] = {}
        for number in range(3 * evidence.LONGEST_LIST):
            known = evidence.merged(known, {"blocked_by": [f"pid {number}"]})
        assert known["blocked_by"] == [f"pid {n}" for n in range(evidence.LONGEST_LIST)]


class TestSettled:
    def test_adds_what_a_worker_that_died_had_kept(self):
        kept = evidence.with_unfinished({"connections_cut": 1}, {"connections_cut": 2})
        assert evidence.settled(kept) == {"connections_cut": 3}
        assert evidence.settled(evidence.with_unfinished(kept, {})) == {"connections_cut": 3}


class TestFindings:
    def test_are_what_adds_up(self):
        assert evidence.findings(
            {"observed_at": "now", "member_of": [], "suspicious": ["x"], "hosts": {"a": {"b": 1}}}
        ) == {"suspicious": ["x"], "hosts": {"a": {}}}
