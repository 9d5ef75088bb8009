from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from jit.identity import queries
from jit.identity.operations.tokens import digest_of
from tests.jit.identity.recorded import events
from tests.support import people


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue()


class TestCreateUser:
    def test_prints_a_password_that_works(self, db):
        people.group("payments-leads")
        printed = run("create_user", "ada", "--group", "payments-leads", "--email", "a@example.com")
        ada = queries.user_by_username("ada")
        assert ada.check_password(printed.split()[-1])
        assert queries.groups_of(ada) == {"payments-leads"}
        assert events("user.created")[0].actor_id.startswith("terminal:")

    def test_prints_no_password_that_was_given(self, db, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO(people.PASSWORD + "\n"))
        printed = run("create_user", "ada", "--password-stdin")
        assert people.PASSWORD not in printed
        assert queries.user_by_username("ada").check_password(people.PASSWORD)

    @pytest.mark.parametrize(
        "more", [["--group", "nobody-made-it"], ["--manager", "nobody"], ["--timezone", "Mars"]]
    )
    def test_makes_nothing_when_something_is_wrong(self, db, more):
        with pytest.raises(CommandError):
            run("create_user", "ada", *more)
        assert queries.user_by_username("ada") is None

    def test_refuses_a_name_that_is_taken(self, rita):
        with pytest.raises(CommandError):
            run("create_user", "rita")


class TestCreateToken:
    def test_prints_the_token_alone_so_that_it_can_be_piped(self, rita):
        printed = run("create_token", "rita", "--name", "ci", "--scope", "read", "--days", "7")
        token = queries.token_by_digest(digest_of(printed.strip()))
        assert token.user == rita
        assert token.scopes == ["read"]

    @pytest.mark.parametrize("more", [["--days", "367"], ["--days", "0"], ["--name", " "]])
    def test_refuses_what_the_page_would_refuse(self, rita, more):
        ask = ["create_token", "rita", "--name", "ci", "--scope", "read", *more]
        with pytest.raises(CommandError):
            run(*ask)
        assert not rita.api_tokens.exists()

    def test_refuses_somebody_unknown(self, db):
        with pytest.raises(CommandError):
            run("create_token", "nobody", "--name", "ci", "--scope", "read")


class TestAccount:
    def test_disables_and_enables(self, rita):
        people.token(rita)
        assert "1 tokens revoked" in run("account", "rita", "--disable", "--reason", "left")
        assert not queries.person(rita.pk).is_active
        assert "left" in str(events("user.disabled")[0].content)
        run("account", "rita", "--enable")
        assert queries.person(rita.pk).is_active

    def test_ends_sessions(self, rita):
        run("account", "rita", "--end-sessions")
        assert queries.person(rita.pk).get_session_auth_hash() != rita.get_session_auth_hash()

    def test_resets_a_lost_second_factor(self, rita, app):
        assert queries.has_second_factor(rita)
        run("account", "rita", "--reset-second-factor")
        assert not queries.has_second_factor(rita)

    @pytest.mark.parametrize("more", [["nobody", "--disable"], ["rita"]])
    def test_refuses_what_it_can_not_do(self, rita, more):
        with pytest.raises(CommandError):
            run("account", *more)


class TestGroup:
    def test_makes_and_changes_in_one_go(self, rita):
        people.person("ada", "payments-sre")
        printed = run("group", "auditors", "--create", "--add", "ada", "--give", "audit:read")
        assert printed == "auditors: members ada; permissions audit:read\n"
        printed = run("group", "auditors", "--remove", "ada", "--take", "audit:read")
        assert printed == "auditors: members -; permissions -\n"

    @pytest.mark.parametrize(
        "more", [["nothing"], ["new", "--create", "--add", "nobody"], ["payments-sre", "--create"]]
    )
    def test_changes_nothing_when_something_is_wrong(self, rita, more):
        with pytest.raises(CommandError):
            run("group", *more)
        assert queries.group_by_slug("new") is None
