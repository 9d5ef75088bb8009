"""One's SSH keys through the REST interface."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from jit.audit.models import AuditEvent
from jit.identity.step_up import HEADER
from jit.kernel import clock
from sessions.models import SshKey
from tests.support import people
from tests.support.world import World


def fresh_key() -> str:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    line = public.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()
    return f"{line} rita@laptop"


class Keys:
    """rita's program, with her authenticator at hand."""

    def __init__(self, world: World) -> None:
        self.api = world.api("rita")
        self.app = people.enrolled(world.user("rita"), now=clock.now())
        self.used = 0

    def add(self, key: str, *, name: str = "laptop", code: bool = True) -> Any:
        headers = {}
        if code:
            headers[HEADER] = self.app.code(clock.now(), ahead=self.used)
            self.used = 1
        return self.api.post("ssh-keys/", {"name": name, "public_key": key}, headers)


@pytest.fixture
def keys(world: World) -> Keys:
    return Keys(world)


class TestSshKeys:
    def test_are_added_with_a_fresh_second_factor(self, keys: Keys) -> None:
        key = fresh_key()
        refused = keys.add(key, code=False)
        assert (refused.status_code, refused.json()["code"]) == (403, "StepUpRequired")
        assert not SshKey.objects.exists()
        added = keys.add(key)
        assert added.status_code == 201, added.content
        assert added.json()["fingerprint"].startswith("SHA256:")
        assert added.json()["public_key"] == key.rpartition(" ")[0]
        assert AuditEvent.objects.filter(action="ssh-key.added").count() == 1
        listed = keys.api.get("ssh-keys/").json()["items"]
        assert [row["id"] for row in listed] == [added.json()["id"]]

    def test_stand_for_one_person(self, keys: Keys) -> None:
        key = fresh_key()
        assert keys.add(key).status_code == 201
        again = keys.add(key, name="the other")
        assert (again.status_code, again.json()["code"]) == (409, "KeyTaken")

    @pytest.mark.parametrize(
        "text", ["", "hello", "-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-dss AAAAB3NzaC1kc3M="]
    )
    def test_that_are_none_are_refused(self, keys: Keys, text: str) -> None:
        answer = keys.add(text)
        assert answer.status_code == (422 if text else 400)
        assert "public_key" in answer.json()["errors"]


class TestSshKeyDetail:
    def test_is_removed_by_its_owner_alone(self, world: World, keys: Keys) -> None:
        key = keys.add(fresh_key()).json()["id"]
        path = f"/api/v1/ssh-keys/{key}/"
        bo = world.api("bo")
        assert bo.client.delete(path, headers=bo._headers(None)).status_code == 404
        for _ in range(2):
            answer = keys.api.client.delete(path, headers=keys.api._headers(None))
            assert answer.status_code == 204
        assert keys.api.get("ssh-keys/").json()["items"] == []
        assert AuditEvent.objects.filter(action="ssh-key.removed").count() == 1
