from __future__ import annotations

import datetime as dt
import re

import pytest

from jit.identity import operations
from jit.identity.models import RecoveryCode, TotpDevice
from jit.kernel import crypto
from tests.jit.identity.recorded import events
from tests.support import people

SECOND = dt.timedelta(seconds=1)


def verify(user, code, now):
    operations.verify_totp(user=user, code=code, actor=people.acting(user), now=now)


class TestEnrollTotp:
    def test_seals_the_secret_for_its_row(self, rita, now):
        device = operations.enroll_totp(user=rita, now=now)
        other = operations.enroll_totp(user=people.person("ada", now=now), now=now)
        with pytest.raises(crypto.SealBroken):
            crypto.unseal(bytes(device.sealed_secret), bound_to=TotpDevice.address(other.id))

    def test_throws_an_unfinished_enrolment_away(self, rita, now):
        first = operations.enroll_totp(user=rita, now=now)
        second = operations.enroll_totp(user=rita, now=now)
        assert list(rita.totp_devices.values_list("pk", flat=True)) == [second.pk]
        assert (
            operations.describe_enrolment(first).secret
            != operations.describe_enrolment(second).secret
        )


class TestDescribeEnrolment:
    def test_gives_an_address_and_a_picture(self, rita, now):
        told = operations.describe_enrolment(operations.enroll_totp(user=rita, now=now))
        assert told.uri.startswith("otpauth://totp/JIT:rita?")
        assert f"secret={told.secret}" in told.uri
        assert len(told.secret) == 32
        assert told.svg.startswith("<svg")
        assert "style=" not in told.svg

    def test_keeps_the_secret_of_a_confirmed_device(self, rita, app):
        with pytest.raises(operations.AlreadyEnrolled):
            operations.describe_enrolment(rita.totp_devices.get())


class TestConfirmTotp:
    def test_takes_the_device_into_use(self, rita, now):
        people.enrolled(rita, now=now)
        rita.refresh_from_db()
        assert rita.second_factor_at == now - dt.timedelta(seconds=90)
        assert len(events("second-factor.enrolled")) == 1

    def test_refuses_a_wrong_code_and_counts_it(self, rita, now):
        device = operations.enroll_totp(user=rita, now=now)
        app = people.Authenticator(operations.describe_enrolment(device).secret)
        wrong = app.code(now, ahead=5)
        with pytest.raises(operations.CodeWrong):
            operations.confirm_totp(device=device, code=wrong, actor=people.acting(rita), now=now)
        device.refresh_from_db()
        assert device.confirmed_at is None
        assert device.failures == 1

    def test_does_not_replace_one_in_use_unasked(self, rita, app, now):
        device = operations.enroll_totp(user=rita, now=now)
        new = people.Authenticator(operations.describe_enrolment(device).secret)
        with pytest.raises(operations.AlreadyEnrolled):
            operations.confirm_totp(
                device=device, code=new.code(now), actor=people.acting(rita), now=now
            )
        verify(rita, app.code(now), now)

    def test_replaces_one_in_use_when_asked(self, rita, app, now):
        device = operations.enroll_totp(user=rita, now=now)
        new = people.Authenticator(operations.describe_enrolment(device).secret)
        operations.confirm_totp(
            device=device, code=new.code(now), actor=people.acting(rita), now=now, replace=True
        )
        with pytest.raises(operations.CodeWrong):
            verify(rita, app.code(now, ahead=1), now)
        verify(rita, new.code(now, ahead=1), now + 2 * SECOND)
        assert len(events("second-factor.removed")) == 1


class TestVerifyTotp:
    def test_writes_down_when(self, rita, app, now):
        verify(rita, app.code(now), now)
        assert rita.second_factor_at == now
        rita.refresh_from_db()
        assert rita.second_factor_at == now
        assert len(events("second-factor.passed")) == 1

    @pytest.mark.parametrize("ahead", [-1, 0, 1])
    def test_takes_a_clock_one_period_off(self, rita, app, now, ahead):
        verify(rita, app.code(now, ahead=ahead), now)

    @pytest.mark.parametrize("ahead", [-3, -2, 2, 3])
    def test_refuses_a_clock_further_off(self, rita, app, now, ahead):
        with pytest.raises(operations.CodeWrong):
            verify(rita, app.code(now, ahead=ahead), now)

    def test_takes_blanks_as_people_type_them(self, rita, app, now):
        code = app.code(now)
        verify(rita, f" {code[:3]} {code[3:]}", now)

    def test_refuses_a_code_twice(self, rita, app, now):
        verify(rita, app.code(now), now)
        with pytest.raises(operations.CodeAlreadyUsed):
            verify(rita, app.code(now), now + SECOND)
        assert len(events("second-factor.passed")) == 1
        assert "replayed" in str(events("second-factor.failed")[0].content)

    def test_refuses_an_older_code_after_a_newer_one(self, rita, app, now):
        verify(rita, app.code(now, ahead=1), now)
        with pytest.raises(operations.CodeAlreadyUsed):
            verify(rita, app.code(now), now + SECOND)

    @pytest.mark.parametrize(
        "code", ["", "abcdef", "00000", "٠١٢٣٤٥", "\ud800", "1" * 10_000, "\0"]
    )
    def test_refuses_what_is_no_code(self, rita, app, now, code):
        with pytest.raises(operations.CodeWrong):
            verify(rita, code, now)

    def test_needs_a_device(self, rita, now):
        operations.enroll_totp(user=rita, now=now)
        with pytest.raises(operations.NoSecondFactor):
            verify(rita, "000000", now)

    def test_makes_guessing_wait_twice_as_long_each_time(self, rita, app, now):
        wrong = app.code(now, ahead=9)
        for wait in (1, 2, 4, 8):
            with pytest.raises(operations.CodeWrong):
                verify(rita, wrong, now)
            with pytest.raises(operations.TooManyAttempts) as refused:
                verify(rita, app.code(now), now + wait * SECOND - SECOND / 1000)
            assert refused.value.extra["retry_after_seconds"] == 1
            now += wait * SECOND
        verify(rita, app.code(now), now)
        assert rita.totp_devices.get().failures == 0
        assert len(events("second-factor.failed")) == 4

    def test_keeps_a_failure_counted_although_it_raises(self, rita, app, now):
        with pytest.raises(operations.CodeWrong):
            verify(rita, app.code(now, ahead=9), now)
        assert rita.totp_devices.get().failures == 1


class TestRecoveryCodes:
    def test_work_once(self, rita, app, now):
        codes = operations.issue_recovery_codes(user=rita, actor=people.acting(rita), now=now)
        assert len(codes) == 10
        assert all(re.fullmatch(r"([a-z0-9]{4}-){3}[a-z0-9]{4}", code) for code in codes)
        method = operations.verify_second_factor(
            user=rita, code=codes[0].upper(), actor=people.acting(rita), now=now
        )
        assert method == "recovery-code"
        assert rita.second_factor_at == now
        with pytest.raises(operations.CodeWrong):
            operations.verify_second_factor(
                user=rita, code=codes[0], actor=people.acting(rita), now=now + SECOND
            )

    def test_are_kept_hashed(self, rita, app, now):
        codes = operations.issue_recovery_codes(user=rita, actor=people.acting(rita), now=now)
        kept = set(RecoveryCode.objects.values_list("digest", flat=True))
        assert len(kept) == 10
        assert not any(code.replace("-", "") in digest for code in codes for digest in kept)

    def test_of_an_older_sheet_are_dead(self, rita, app, now):
        old = operations.issue_recovery_codes(user=rita, actor=people.acting(rita), now=now)
        operations.issue_recovery_codes(user=rita, actor=people.acting(rita), now=now)
        with pytest.raises(operations.CodeWrong):
            operations.verify_recovery_code(
                user=rita, code=old[0], actor=people.acting(rita), now=now
            )

    def test_share_the_waiting_with_the_authenticator(self, rita, app, now):
        with pytest.raises(operations.CodeWrong):
            verify(rita, app.code(now, ahead=9), now)
        codes = operations.issue_recovery_codes(user=rita, actor=people.acting(rita), now=now)
        with pytest.raises(operations.TooManyAttempts):
            operations.verify_recovery_code(
                user=rita, code=codes[0], actor=people.acting(rita), now=now
            )

    def test_of_somebody_else_open_nothing(self, rita, app, now):
        ada = people.person("ada", now=now)
        people.enrolled(ada, now=now)
        codes = operations.issue_recovery_codes(user=ada, actor=people.acting(ada), now=now)
        with pytest.raises(operations.CodeWrong):
            operations.verify_recovery_code(
                user=rita, code=codes[0], actor=people.acting(rita), now=now
            )


class TestRemoveSecondFactor:
    def test_makes_the_person_enrol_again_and_ends_their_sessions(self, rita, app, now):
        operations.issue_recovery_codes(user=rita, actor=people.acting(rita), now=now)
        before = rita.get_session_auth_hash()
        operations.remove_second_factor(user=rita, actor=people.INSTALLER, now=now)
        rita.refresh_from_db()
        assert rita.second_factor_at is None
        assert rita.get_session_auth_hash() != before
        assert not rita.totp_devices.exists()
        assert not rita.recovery_codes.exists()
