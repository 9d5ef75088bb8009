"""What holds when many try at one instant, each on a connection of their own."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from jit.identity import operations
from jit.identity.models import SignInAttempts
from jit.identity.operations.attempts import FREE_PER_ACCOUNT
from tests.jit.identity.recorded import events
from tests.support import people

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 8


def at_one_instant(act):
    """Return how often each outcome came of MANY calls of `act`, begun together."""
    start = Barrier(MANY)

    def once(_number):
        start.wait(5)
        try:
            act()
        except Exception as outcome:  # noqa: BLE001 -- counted below
            return type(outcome).__name__
        else:
            return "passed"
        finally:
            connection.close()

    with ThreadPoolExecutor(MANY) as pool:
        return Counter(pool.map(once, range(MANY)))


def test_one_code_typed_in_many_windows_passes_once(now):
    rita = people.person("rita", now=now)
    code = people.enrolled(rita, now=now).code(now)

    def verify():
        operations.verify_totp(user=rita, code=code, actor=people.acting(rita), now=now)

    outcomes = at_one_instant(verify)
    assert outcomes["passed"] == 1
    assert set(outcomes) <= {"passed", "CodeAlreadyUsed", "TooManyAttempts"}
    assert len(events("second-factor.passed")) == 1


def test_one_recovery_code_used_in_many_windows_passes_once(now):
    rita = people.person("rita", now=now)
    people.enrolled(rita, now=now)
    actor = people.acting(rita)
    code = operations.issue_recovery_codes(user=rita, actor=actor, now=now)[0]

    def verify():
        operations.verify_recovery_code(user=rita, code=code, actor=actor, now=now)

    outcomes = at_one_instant(verify)
    assert outcomes["passed"] == 1
    assert set(outcomes) <= {"passed", "CodeWrong", "TooManyAttempts"}


def test_a_burst_of_guesses_gets_no_more_than_its_free_ones(now):
    def guess():
        operations.begin_attempt(username="rita", address="192.0.2.7", now=now)

    outcomes = at_one_instant(guess)
    assert outcomes == {"passed": FREE_PER_ACCOUNT, "TooManyAttempts": MANY - FREE_PER_ACCOUNT}
    assert {row.count for row in SignInAttempts.objects.all()} == {FREE_PER_ACCOUNT}


def test_one_account_made_many_times_is_made_once(now):
    def make():
        people.person("rita", now=now)

    assert at_one_instant(make) == {"passed": 1, "UsernameTaken": MANY - 1}
    assert len(events("user.created")) == 1


def test_many_enrolments_confirmed_leave_one_authenticator(now):
    rita = people.person("rita", now=now)
    device = operations.enroll_totp(user=rita, now=now)
    code = people.Authenticator(operations.describe_enrolment(device).secret).code(now)

    def confirm():
        operations.confirm_totp(device=device, code=code, actor=people.acting(rita), now=now)

    assert at_one_instant(confirm) == {"passed": 1, "AlreadyEnrolled": MANY - 1}
    assert rita.totp_devices.count() == 1


def test_disabled_twice_at_one_instant_is_recorded_once(now):
    rita = people.person("rita", now=now)

    def disable():
        operations.disable_user(user=rita, actor=people.INSTALLER, now=now)

    assert at_one_instant(disable) == {"passed": MANY}
    assert len(events("user.disabled")) == 1
