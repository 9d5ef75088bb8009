from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client, RequestFactory

from jit.identity import authentication, operations
from jit.identity.models import ApiToken, SignInAttempts, User
from jit.identity.permissions import Permission, Scope
from jit.kernel import clock
from tests.support import people

pytestmark = pytest.mark.urls("tests.jit.identity.urls")
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def bearer(client, rita):
    plain = people.token(rita)
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {plain}"
    return client


def problem(response):
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.json()


class TestBearerToken:
    def test_opens_for_its_owner(self, bearer):
        told = bearer.get("/api/").json()
        assert (told["user"], told["actor"], told["channel"]) == ("rita", "rita", "api")

    def test_finds_token_owner_and_rights_in_two_statements(
        self, bearer, django_assert_num_queries
    ):
        bearer.get("/api/")  # notes the use; the next minute needs no write
        with django_assert_num_queries(2):
            bearer.get("/api/")

    def test_notes_its_use(self, bearer, rita):
        bearer.get("/api/")
        assert rita.api_tokens.get().last_used_at is not None

    @pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer two words"])
    def test_malformed_is_told_how(self, client, db, value):
        response = client.get("/api/", headers={"Authorization": value})
        assert response.status_code == 401
        assert problem(response)["code"] == "TokenMalformed"

    @pytest.mark.parametrize("plain", ["jit_pat_unknown", "x", "é" * 50, "x" * 10_000])
    def test_unknown_is_refused(self, client, db, plain):
        response = client.get("/api/", headers={"Authorization": f"Bearer {plain}"})
        assert response.status_code == 401
        assert problem(response)["code"] == "TokenUnknown"
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="jit", error="invalid_token"'

    def test_revoked_is_refused(self, bearer, rita):
        token = rita.api_tokens.get()
        operations.revoke_token(token=token, actor=people.acting(rita), now=clock.now())
        response = bearer.get("/api/")
        assert response.status_code == 401
        assert problem(response)["code"] == "TokenRevoked"

    def test_expired_is_refused_from_its_very_end(self, bearer, monkeypatch):
        end = ApiToken.objects.get().expires_at
        monkeypatch.setattr(clock, "now", lambda: end - SECOND)
        assert bearer.get("/api/").status_code == 200
        monkeypatch.setattr(clock, "now", lambda: end)
        response = bearer.get("/api/")
        assert response.status_code == 401
        assert problem(response)["code"] == "TokenExpired"

    def test_of_a_disabled_person_is_refused_at_once(self, bearer, rita):
        operations.disable_user(user=rita, actor=people.INSTALLER, now=clock.now())
        response = bearer.get("/api/")
        assert response.status_code == 401
        assert problem(response)["code"] == "TokenRevoked"

    def test_that_outlived_a_disabling_is_refused(self, bearer, rita):
        User.objects.filter(pk=rita.pk).update(is_active=False, disabled_at=clock.now())
        response = bearer.get("/api/")
        assert response.status_code == 401
        assert problem(response)["code"] == "TokenOwnerDisabled"

    def test_does_not_borrow_the_second_factor_of_a_cookie(self, bearer, rita):
        ada = people.person("ada")
        people.signed_in(bearer, ada)
        told = bearer.get("/api/").json()
        assert told["user"] == "rita"
        assert told["at"] is None

    def test_refused_does_not_fall_back_to_a_cookie(self, client, rita):
        people.signed_in(client, rita)
        response = client.get("/api/", headers={"Authorization": "Bearer nonsense"})
        assert response.status_code == 401

    def test_never_gives_more_than_its_scopes(self, client, db):
        people.group("auditors", Permission.AUDIT_READ)
        udo = people.person("udo", "auditors")
        for scope, may in ((Scope.READ, False), (Scope.AUDIT, True)):
            header = {"Authorization": f"Bearer {people.token(udo, scope)}"}
            assert client.get("/api/", headers=header).json()["may_audit"] is may

    def test_never_gives_more_than_its_owner_has(self, bearer):
        assert bearer.get("/api/").json()["may_audit"] is False

    def test_of_a_foreign_scope_is_refused_by_name(self, client, rita):
        header = {"Authorization": f"Bearer {people.token(rita, Scope.READ, Scope.REQUEST)}"}
        response = client.post("/api/", headers=header)
        assert response.status_code == 403
        told = problem(response)
        assert told["code"] == "ScopeMissing"
        assert told["scope"] == "decide"
        header = {"Authorization": f"Bearer {people.token(rita, Scope.DECIDE)}"}
        assert client.post("/api/", headers=header).status_code == 200

    def test_without_one_the_answer_says_what_to_send(self, client, db):
        response = client.get("/api/")
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="jit"'


class TestBrowserSession:
    def test_opens_for_a_verified_person(self, client, rita):
        told = people.signed_in(client, rita).get("/api/").json()
        assert (told["user"], told["channel"]) == ("rita", "web")

    def test_refuses_who_gave_only_a_password(self, client, rita):
        client.force_login(rita)
        assert client.get("/api/").status_code == 401

    def test_refuses_a_write_without_csrf(self, rita):
        client = people.signed_in(Client(enforce_csrf_checks=True), rita)
        response = client.post("/api/")
        assert response.status_code == 403
        problem(response)


class TestPasswordBackend:
    def attempt(self, username, password, now, address="192.0.2.7"):
        request = RequestFactory().post("/", REMOTE_ADDR=address)
        return authenticate(request, username=username, password=password, now=now)

    def test_knows_the_right_password(self, rita, now):
        assert self.attempt(" Rita ", people.PASSWORD, now) == rita
        assert not SignInAttempts.objects.exclude(count=0).exists()

    @pytest.mark.parametrize("name", ["rita", "nobody", "no\0body", "x" * 500, "\ud800"])
    def test_answers_every_wrong_one_alike(self, rita, now, name):
        assert self.attempt(name, "wrong", now) is None

    def test_refuses_a_disabled_person(self, rita, now):
        operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
        assert self.attempt("rita", people.PASSWORD, now) is None

    def test_refuses_a_megabyte_unhashed(self, rita, now):
        assert self.attempt("rita", "x" * 1_000_000, now) is None

    @pytest.mark.parametrize("name", ["rita", "nobody"])
    def test_makes_guessing_wait_whether_the_name_exists_or_not(self, rita, now, name):
        for _ in range(operations.attempts.FREE_PER_ACCOUNT):
            assert self.attempt(name, "wrong", now) is None
        for wait in (1, 2, 4):
            with pytest.raises(operations.TooManyAttempts) as refused:
                self.attempt(name, people.PASSWORD, now + (wait - 0.5) * SECOND)
            assert refused.value.extra["retry_after_seconds"] == 1
            now += wait * SECOND
            assert self.attempt(name, "wrong", now) is None

    def test_lets_the_person_in_from_elsewhere_meanwhile(self, rita, now):
        for _ in range(operations.attempts.FREE_PER_ACCOUNT):
            self.attempt("rita", "wrong", now)
        with pytest.raises(operations.TooManyAttempts):
            self.attempt("rita", people.PASSWORD, now)
        assert self.attempt("rita", people.PASSWORD, now, address="192.0.2.8") == rita

    def test_makes_an_address_wait_that_tries_everybody(self, rita, now, monkeypatch):
        monkeypatch.setattr(operations.attempts, "FREE_PER_ADDRESS", 9)
        for number in range(9):
            self.attempt(f"somebody{number}", "wrong", now, address=f"2001:db8::{number + 1:x}")
        with pytest.raises(operations.TooManyAttempts):
            self.attempt("rita", people.PASSWORD, now, address="2001:db8::ffff")
        assert self.attempt("rita", people.PASSWORD, now, address="2001:db8:0:1::1") == rita

    def test_waits_a_quarter_of_an_hour_at_most_and_forgets_after_a_day(self, rita, now):
        self.attempt("rita", "wrong", now)
        from_here = SignInAttempts.objects.exclude(account="").exclude(address="anywhere")
        from_here.update(count=10_000)
        quarter = dt.timedelta(minutes=15)
        with pytest.raises(operations.TooManyAttempts):
            self.attempt("rita", people.PASSWORD, now + quarter - SECOND)
        assert self.attempt("rita", "wrong", now + quarter) is None
        day = dt.timedelta(days=1)
        self.attempt("otto", "wrong", now + quarter + day + SECOND)
        assert from_here.all().count() == 1

    def test_keeps_no_name_that_was_typed(self, rita, now):
        self.attempt("my-secret-password", "", now)
        assert "my-secret-password" not in str(list(SignInAttempts.objects.values()))

    @pytest.mark.parametrize("name", ["rita", "nobody", "disabled"])
    def test_hashes_once_whether_the_name_exists_or_not(self, rita, now, monkeypatch, name):
        gone = people.person("disabled", password=people.PASSWORD, now=now)
        operations.disable_user(user=gone, actor=people.INSTALLER, now=now)
        hashed, encode = [], MD5PasswordHasher.encode

        def counting(self, password, salt):
            hashed.append(password)
            return encode(self, password, salt)

        monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
        assert self.attempt(name, "wrong", now) is None
        assert hashed == ["wrong"]


class TestActorOf:
    def test_needs_somebody(self, rf):
        from django.contrib.auth.models import AnonymousUser

        request = rf.get("/")
        request.user = AnonymousUser()
        with pytest.raises(authentication.SignInRequired):
            authentication.actor_of(request)
