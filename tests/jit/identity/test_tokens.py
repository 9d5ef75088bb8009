from __future__ import annotations

import datetime as dt

import pytest

from jit.identity import operations, queries
from jit.identity.models import ApiToken
from jit.identity.permissions import Scope
from jit.kernel.errors import InvalidInput, NotFound
from tests.jit.identity.recorded import events
from tests.support import people

YEAR = dt.timedelta(days=366)


def create(user, now, **changes):
    ask = {"name": "laptop", "scopes": ["read"], "expires_at": now + dt.timedelta(days=1)} | changes
    return operations.create_token(user=user, actor=people.acting(user), now=now, **ask)


class TestCreateToken:
    def test_gives_the_token_once_and_keeps_its_digest(self, rita, now):
        token, plain = create(rita, now)
        assert plain.startswith("jit_pat_")
        assert len(plain) >= len("jit_pat_") + 43  # 256 bits in base64
        kept = ApiToken.objects.values().get()
        assert plain not in str(kept)
        assert plain[len(token.prefix) :] not in str(kept)
        recorded = events("token.created")[0]
        assert plain[len(token.prefix) :].encode() not in bytes(recorded.body)

    @pytest.mark.parametrize("scopes", [[], ["read", "root"], ["READ"]])
    def test_refuses_scopes_outside_the_closed_list(self, rita, now, scopes):
        with pytest.raises(operations.UnknownScope):
            create(rita, now, scopes=scopes)
        assert not ApiToken.objects.exists()

    @pytest.mark.parametrize(
        "life", [dt.timedelta(0), -dt.timedelta(days=1), YEAR + dt.timedelta(seconds=1)]
    )
    def test_refuses_a_life_that_is_over_or_over_a_year(self, rita, now, life):
        with pytest.raises(operations.TokenLifeTooLong):
            create(rita, now, expires_at=now + life)

    def test_takes_a_whole_year(self, rita, now):
        create(rita, now, expires_at=now + YEAR)

    @pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\0b"])
    def test_refuses_a_name_that_says_nothing(self, rita, now, name):
        with pytest.raises(InvalidInput):
            create(rita, now, name=name)

    def test_refuses_a_disabled_owner(self, rita, now):
        operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
        with pytest.raises(operations.AccountDisabled):
            create(rita, now)


class TestRevokeToken:
    def test_ends_it_once(self, rita, now):
        token, _ = create(rita, now)
        operations.revoke_token(token=token, actor=people.acting(rita), now=now)
        later = now + dt.timedelta(hours=1)
        operations.revoke_token(token=token, actor=people.acting(rita), now=later)
        token.refresh_from_db()
        assert token.revoked_at == now
        assert len(events("token.revoked")) == 1


class TestNoteTokenUsed:
    def test_writes_at_most_once_a_minute(self, rita, now, django_assert_num_queries):
        token, _ = create(rita, now)
        with django_assert_num_queries(1):
            operations.note_token_used(token=token, now=now)
        with django_assert_num_queries(0):
            operations.note_token_used(token=token, now=now + dt.timedelta(seconds=59))
        with django_assert_num_queries(1):
            operations.note_token_used(token=token, now=now + dt.timedelta(seconds=60))
        token.refresh_from_db()
        assert token.last_used_at == now + dt.timedelta(seconds=60)


class TestOwnToken:
    def test_finds_mine_and_nobody_elses(self, rita, now):
        token, _ = create(rita, now)
        assert queries.own_token(rita, token.pk) == token
        otto = people.person("otto", now=now)
        for pk in (token.pk, "nonsense"):
            with pytest.raises(NotFound):
                queries.own_token(otto, pk)


def test_every_permission_has_a_scope():
    from jit.identity.permissions import SCOPE_OF, Permission

    assert set(SCOPE_OF) == set(Permission)
    assert set(SCOPE_OF.values()) <= set(Scope)
