from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from jit.catalog.models import Role
from jit.elevation.models import Grant
from jit.kernel import clock
from jit.workflow.credential import CredentialNotActive, NotYourCredential
from sessions.operations import certificates
from sessions.operations.certificates import NoCertificatesHere
from sessions.operations.keys import UnusableKey
from tests.support import people
from tests.support.ssh_gateway import Visitor, closed_session, hold
from tests.support.sshd import Sshd, new_authority


def certified(visitor: Visitor, line: str) -> list[str]:
    path = visitor.folder / "id-cert.pub"
    path.write_text(line + "\n")
    return [f"-oCertificateFile={path}"]


def certify(visitor: Visitor, grant: Grant, username: str = "rita") -> str:
    user = people.known_as(username)
    return certificates.certify(
        grant_id=grant.pk,
        user=user,
        public_key=visitor.public_key,
        actor=people.acting(user),
    )


@pytest.fixture
def unregistered(rita: Visitor) -> Visitor:
    """Rita with a key that is in no list, so that only a certificate can open the door."""
    people.known_as("rita").ssh_keys.all().delete()
    return rita


class TestCertify:
    def test_opens_the_grant_as_often_as_wanted(self, unregistered: Visitor, operator: Role):
        grant = hold(operator)
        options = certified(unregistered, certify(unregistered, grant))
        for _ in range(2):
            done = unregistered.ssh("echo in", login=grant.external_name, options=options)
            assert done.stdout == b"in\n", done.stderr
        assert closed_session().proof == "certificate"

    def test_opens_no_other_grant(self, unregistered: Visitor, operator: Role):
        grant = hold(operator)
        options = certified(unregistered, certify(unregistered, grant))
        theirs = Grant.objects.get(pk=grant.pk)
        done = unregistered.ssh("echo in", login="jit_" + "0" * 32, options=options)
        assert b"Permission denied" in done.stderr
        assert theirs.access_sessions.count() == 0

    def test_opens_nothing_once_the_grant_is_over(self, unregistered: Visitor, operator: Role):
        grant = hold(operator)
        options = certified(unregistered, certify(unregistered, grant))
        Grant.objects.update(state="REVOKING")
        done = unregistered.ssh("echo in", login=grant.external_name, options=options)
        assert b"Permission denied" in done.stderr

    @pytest.mark.parametrize(
        "change",
        [
            {"by": "somebody"},
            {"principals": ["web"]},
            {"now": clock.now() - dt.timedelta(hours=2)},
        ],
        ids=["wrong authority", "foreign principal", "expired"],
    )
    def test_must_be_sound(
        self, unregistered: Visitor, operator: Role, host: Sshd, change: dict[str, Any]
    ):
        grant = hold(operator)
        by = new_authority() if "by" in change else host.user_ca
        line = by.sign_user(
            **{
                "public_key": unregistered.public_key,
                "key_id": grant.external_name,
                "principals": [grant.external_name],
                "now": clock.now(),
                "valid_for_seconds": 600,
                "extensions": ["permit-pty"],
                **{name: value for name, value in change.items() if name != "by"},
            }
        )
        options = certified(unregistered, line)
        done = unregistered.ssh("echo in", login=grant.external_name, options=options)
        assert b"Permission denied" in done.stderr

    def test_is_for_its_holder_alone(self, rita: Visitor, operator: Role):
        grant = hold(operator)
        with pytest.raises(NotYourCredential):
            certify(rita, grant, "ada")

    def test_wants_a_public_key(self, rita: Visitor, operator: Role):
        grant = hold(operator)
        rita.public_key = "-----BEGIN PRIVATE KEY-----"
        with pytest.raises(UnusableKey):
            certify(rita, grant)

    def test_says_when_it_is_too_late(self, rita: Visitor, operator: Role):
        grant = hold(operator)
        Grant.objects.update(ends_at=clock.now() - dt.timedelta(seconds=1))
        with pytest.raises(CredentialNotActive):
            certify(rita, grant)

    def test_says_when_the_authority_is_not_there(self, rita: Visitor, operator: Role):
        grant = hold(operator)
        operator.target.config["ca"] = "file:/nowhere/ca"
        operator.target.save()
        with pytest.raises(NoCertificatesHere, match="No certificate can be signed now"):
            certify(rita, grant)
