"""The panel of SSH keys on the account page."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from jit.kernel import clock
from sessions import queries
from tests.sessions.api.test_ssh_keys import fresh_key
from tests.support import people
from tests.support.world import World

PART = {"HX-Request": "true"}
NEW = "/account/ssh-keys/new/"


class TestAdd:
    def test_takes_a_code_for_this_very_act(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        rita, user = at("rita"), world.user("rita")
        app = people.enrolled(user, now=clock.now())
        typed = {"name": "laptop", "public_key": fresh_key()}
        refused = rita.post(NEW, typed, headers=PART)
        assert refused.status_code == 403
        assert typed["public_key"] in refused.content.decode()
        assert not queries.keys_of(user)
        added = rita.post(NEW, {**typed, "code": app.code(clock.now())}, headers=PART)
        assert added.status_code == 200, added.content
        key = queries.keys_of(user).get()
        assert key.fingerprint in added.content.decode()
        # The code opened this act for a few minutes: another key needs none.
        more = rita.post(NEW, {"name": "desk", "public_key": fresh_key()}, headers=PART)
        assert more.status_code == 200

    def test_says_what_is_no_key(self, world: World, at: Callable[[str], Client]) -> None:
        rita = at("rita")
        app = people.enrolled(world.user("rita"), now=clock.now())
        typed = {"name": "x", "public_key": "PRIVATE", "code": app.code(clock.now())}
        answer = rita.post(NEW, typed, headers=PART)
        assert answer.status_code == 400
        assert "Never paste a private key" in answer.content.decode()


class TestRemove:
    def test_is_its_owners(self, world: World, at: Callable[[str], Client]) -> None:
        rita, user = at("rita"), world.user("rita")
        app = people.enrolled(user, now=clock.now())
        rita.post(NEW, {"name": "x", "public_key": fresh_key(), "code": app.code(clock.now())})
        key = queries.keys_of(user).get()
        path = f"/account/ssh-keys/{key.pk}/remove/"
        assert at("bo").post(path, headers=PART).status_code == 404
        assert rita.post(path, headers=PART).status_code == 200
        assert not queries.keys_of(user)
