"""The kit notices what is wrong: connectors that are broken on purpose fail, and where expected."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import pytest

from jit.connectors.postgresql import PostgreSQL
from jit.connectors.ssh import SSH
from tests.contracts import broken, broken_ssh
from tests.contracts.kit import failing_checks
from tests.contracts.postgresql import PostgreSQLGround
from tests.contracts.ssh import SSHGround

# These wait on purpose, and tell nothing about what is broken here.
SLOW = {
    "a_slow_target_is_waited_for",
    "a_target_that_falls_silent_is_given_up_in_time",
    "what_arrives_late_does_not_come_back_to_life",
    "the_target_holds_the_deadline_with_us_gone",
}


@pytest.fixture
def failures() -> Iterator[Callable[[type[PostgreSQL]], set[str]]]:
    grounds = []

    def run(cls: type[PostgreSQL]) -> set[str]:
        grounds.append(PostgreSQLGround("18", cls))
        return failing_checks(grounds[-1], without=SLOW)

    yield run
    for ground in grounds:
        ground.close()


class TestFailingChecks:
    def test_a_random_name_is_caught(self, failures):
        assert failures(broken.BlindCreate) >= {
            "gives_until_the_end_and_takes_back_with_proof",
            "giving_twice_makes_one_object_and_one_living_credential",
            "survives_a_crash_at_any_call_of_giving",
            "two_grants_at_once_stay_apart",
            "taking_back_cuts_what_is_open",
        }

    def test_a_deadline_in_a_second_step_is_caught(self, failures):
        assert failures(broken.DeadlineLater) == {
            "survives_a_crash_at_any_call_of_giving",
            "a_deadline_that_has_passed_gives_nothing",
        }

    def test_open_connections_left_alone_are_caught(self, failures):
        assert failures(broken.ForgetsToCut) == {
            "a_blocker_on_the_target_does_not_delay_the_cut",
            "taking_back_cuts_what_is_open",
            "two_grants_at_once_stay_apart",
            "survives_a_crash_at_any_call_of_taking_back",
        }

    def test_a_claim_without_a_deed_is_caught(self, failures):
        found = failures(broken.ClaimsAbsent)
        assert found >= {
            "gives_until_the_end_and_takes_back_with_proof",
            "taking_back_twice_finds_it_absent",
            "takes_back_many_at_once",
            "one_that_fails_does_not_stop_the_others",
            "taking_back_cuts_what_is_open",
            "survives_a_crash_at_any_call_of_giving",
            "giving_after_taking_back_is_refused",
            "what_the_books_do_not_know_is_seen_and_can_be_taken_back",
        }
        assert "extending_moves_the_deadline_later_and_never_earlier" in found
        assert "is_healthy" not in found


class TestFailingChecksOfSSH:
    """An sshd takes longer than a database: each is asked where it must be noticed."""

    SLOW = SLOW | {"a_connection_that_died_meanwhile_is_replaced"}

    @pytest.fixture
    def failures(self) -> Iterator[Callable[..., set[str]]]:
        grounds: list[SSHGround] = []

        def run(cls: type[SSH], *, only: Collection[str] = ()) -> set[str]:
            grounds.append(SSHGround(cls))
            return failing_checks(grounds[-1], without=self.SLOW, only=only)

        yield run
        for ground in grounds:
            ground.close()

    def test_a_random_name_is_caught(self, failures):
        expected = {
            "gives_until_the_end_and_takes_back_with_proof",
            "giving_twice_makes_one_object_and_one_living_credential",
            "survives_a_crash_at_any_call_of_giving",
            "taking_back_cuts_what_is_open",
        }
        assert failures(broken_ssh.BlindSigning, only=expected) == expected

    def test_a_certificate_that_outlives_its_grant_is_caught(self, failures):
        expected = {
            "gives_until_the_end_and_takes_back_with_proof",
            "survives_a_crash_at_any_call_of_giving",
            "a_deadline_that_has_passed_gives_nothing",
        }
        assert failures(broken_ssh.DayTicket, only=expected) == expected

    def test_a_claim_without_a_list_is_caught(self, failures):
        expected = {
            "gives_until_the_end_and_takes_back_with_proof",
            "taking_back_twice_finds_it_absent",
            "taking_back_cuts_what_is_open",
            "giving_after_taking_back_is_refused",
            "what_the_books_do_not_know_is_seen_and_can_be_taken_back",
        }
        assert failures(broken_ssh.ListsNothing, only=expected | {"is_healthy"}) == expected

    def test_open_connections_left_alone_are_caught(self, failures):
        expected = {
            "taking_back_cuts_what_is_open",
            "two_grants_at_once_stay_apart",
            "survives_a_crash_at_any_call_of_taking_back",
            "a_blocker_on_the_target_does_not_delay_the_cut",
        }
        assert failures(broken_ssh.ForgetsToCut, only=expected) == expected

    def test_two_living_credentials_are_caught(self, failures):
        assert failures(broken_ssh.KeepsTheOldSerial) == {
            "giving_twice_makes_one_object_and_one_living_credential"
        }
