from __future__ import annotations

import pytest

from jit.identity import operations, queries
from jit.kernel.errors import InvalidInput
from tests.jit.identity.recorded import events
from tests.support import people


class TestCreateUser:
    def test_makes_a_person_of_their_own(self, rita, now):
        assert rita.person_id == rita.id
        assert rita.is_active
        assert rita.check_password(people.PASSWORD)
        assert [event.subject_id for event in events("user.created")] == [str(rita.id)]

    def test_links_a_second_account_to_the_same_human(self, rita, now):
        second = people.person("rita-admin", same_person_as=rita, now=now)
        assert second.person_id == rita.person_id
        assert queries.same_person(rita, second)
        assert set(queries.accounts_of_person(rita)) == {rita, second}

    def test_without_a_password_lets_nobody_in_by_one(self, db, now):
        otto = people.person("otto", now=now)
        assert not otto.has_usable_password()

    def test_refuses_a_name_that_is_taken(self, rita, now):
        with pytest.raises(operations.UsernameTaken):
            people.person("rita", now=now)
        assert len(events("user.created")) == 1

    @pytest.mark.parametrize("name", ["", "Rita Meier", "group:x", "-dash", "ri\0ta", "x" * 101])
    def test_refuses_a_name_that_needs_quoting(self, db, now, name):
        with pytest.raises(InvalidInput) as refused:
            people.person(name, now=now)
        assert "username" in refused.value.fields

    def test_refuses_a_zone_that_does_not_exist(self, db, now):
        with pytest.raises(InvalidInput) as refused:
            people.person("rita", timezone="Mars/Olympus", now=now)
        assert "timezone" in refused.value.fields

    @pytest.mark.parametrize("password", ["short", "password1234", "rita-rita-rita"])
    def test_refuses_a_weak_password(self, db, now, password):
        with pytest.raises(operations.PasswordTooWeak):
            people.person("rita-rita", password=password, now=now)
        assert queries.user_by_username("rita-rita") is None

    def test_keeps_the_address_out_of_the_sealed_body(self, db, now):
        people.person("rita", email="rita@example.com", now=now)
        assert b"rita@example.com" not in bytes(events("user.created")[0].body)


class TestSetPassword:
    def test_changes_the_password_and_the_fingerprint_of_sessions(self, rita, now):
        before = rita.get_session_auth_hash()
        operations.set_password(
            user=rita, password="another long one", actor=people.acting(rita), now=now
        )
        rita.refresh_from_db()
        assert rita.check_password("another long one")
        assert rita.get_session_auth_hash() != before
        assert len(events("user.password-changed")) == 1

    def test_refuses_a_weak_one_and_keeps_the_old(self, rita, now):
        with pytest.raises(operations.PasswordTooWeak):
            operations.set_password(user=rita, password="short", actor=people.acting(rita), now=now)
        rita.refresh_from_db()
        assert rita.check_password(people.PASSWORD)


class TestDisableUser:
    def test_revokes_tokens_and_calls_for_the_end_of_grants(
        self, rita, now, monkeypatch, django_capture_on_commit_callbacks
    ):
        sent = []
        monkeypatch.setattr(
            "jit.kernel.tasks._send", lambda name, args, *_: sent.append((name, args))
        )
        people.token(rita)
        with django_capture_on_commit_callbacks(execute=True):
            departure = operations.disable_user(
                user=rita, actor=people.INSTALLER, now=now, reason="left"
            )
        assert departure == operations.Departure(str(rita.id), was_active=True, tokens_revoked=1)
        assert sent == [("jit.workflow.requester_left", (str(rita.id),))]
        rita.refresh_from_db()
        assert not rita.is_active
        assert rita.disabled_at == now
        assert rita.api_tokens.get().revoked_at == now
        assert len(events("user.disabled")) == len(events("token.revoked")) == 1

    def test_again_changes_nothing_but_calls_again(
        self, rita, now, monkeypatch, django_capture_on_commit_callbacks
    ):
        operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
        sent = []
        monkeypatch.setattr("jit.kernel.tasks._send", lambda name, *_: sent.append(name))
        with django_capture_on_commit_callbacks(execute=True):
            departure = operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
        assert not departure.was_active
        assert sent == ["jit.workflow.requester_left"]
        assert len(events("user.disabled")) == 1

    def test_takes_the_account_out_of_every_group(self, rita, now):
        assert list(queries.members_of("payments-sre")) == [rita]
        operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
        assert not queries.members_of("payments-sre").exists()


class TestEnableUser:
    def test_leaves_old_sessions_and_tokens_dead(self, rita, now):
        people.token(rita)
        before = rita.get_session_auth_hash()
        operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
        operations.enable_user(user=rita, actor=people.INSTALLER, now=now)
        rita.refresh_from_db()
        assert rita.is_active
        assert rita.disabled_at is None
        assert rita.get_session_auth_hash() != before
        assert rita.api_tokens.get().revoked_at is not None
        assert len(events("user.enabled")) == 1

    def test_of_an_active_account_changes_nothing(self, rita, now):
        operations.enable_user(user=rita, actor=people.INSTALLER, now=now)
        assert events("user.enabled") == []


class TestEndBrowserSessions:
    def test_changes_the_fingerprint(self, rita, now):
        before = rita.get_session_auth_hash()
        operations.end_browser_sessions(user=rita, actor=people.acting(rita), now=now)
        rita.refresh_from_db()
        assert rita.get_session_auth_hash() != before
        assert len(events("user.sessions-ended")) == 1
