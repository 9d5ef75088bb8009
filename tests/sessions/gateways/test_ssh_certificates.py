from __future__ import annotations

import datetime as dt
from contextlib import closing
from typing import Any

import asyncssh
import pytest

from jit.catalog.models import Role
from jit.elevation.models import Grant
from jit.kernel import clock
from jit.workflow.credential import CredentialNotActive, NotYourCredential
from sessions.operations import certificates
from sessions.operations.certificates import NoCertificatesHere
from sessions.operations.keys import UnusableKey
from tests.support import people
from tests.support.ssh_gateway import OPERATOR, Visitor, closed_session, hold
from tests.support.sshd import Sshd, new_authority

LOUD = ["-oLogLevel=INFO"]
NOW = clock.now()


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

    @pytest.mark.parametrize("login", [OPERATOR, f"{OPERATOR}+web-1", "{grant.pk}"])
    def test_opens_its_grant_by_the_roles_name(
        self, unregistered: Visitor, operator: Role, login: str
    ):
        grant = hold(operator)
        options = certified(unregistered, certify(unregistered, grant))
        done = unregistered.ssh("echo in", login=login.format(grant=grant), options=options)
        assert done.stdout == b"in\n", done.stderr
        assert closed_session().grant_id == grant.pk

    @pytest.mark.parametrize("login", ["jit_" + "0" * 32, "web-2-operator", "root"])
    def test_opens_no_other_grant(self, unregistered: Visitor, operator: Role, login: str):
        grant = hold(operator)
        options = [*certified(unregistered, certify(unregistered, grant)), *LOUD]
        done = unregistered.ssh("echo in", login=login, options=options)
        assert b"Permission denied" in done.stderr
        assert b"Your certificate opens web-1-operator alone: log in as" in done.stderr
        assert grant.access_sessions.count() == 0

    def test_opens_no_other_grant_of_its_role(self, unregistered: Visitor, operator: Role):
        """The role's name means the newest grant; the certificate of an older one is refused."""
        old = hold(operator)
        options = [*certified(unregistered, certify(unregistered, old)), *LOUD]
        Grant.objects.update(state="ENDED", end_reason="returned", revocation_verified_at=NOW)
        new = hold(operator)
        done = unregistered.ssh("echo in", options=options)
        assert b"Your grant of web-1-operator has ended." in done.stderr
        assert (done.returncode, new.access_sessions.count()) == (255, 0)

    @pytest.mark.parametrize("login", [OPERATOR, "{grant.external_name}"])
    @pytest.mark.parametrize(
        "over",
        [
            {"state": "REVOKING"},
            {"ends_at": clock.now() - dt.timedelta(seconds=1)},
            {"state": "ENDED", "end_reason": "returned", "revocation_verified_at": clock.now()},
        ],
        ids=["revoking", "past its end", "ended"],
    )
    def test_says_that_the_grant_is_over(
        self, unregistered: Visitor, operator: Role, over: dict[str, Any], login: str
    ):
        grant = hold(operator)
        options = [*certified(unregistered, certify(unregistered, grant)), *LOUD]
        Grant.objects.update(**over)
        done = unregistered.ssh("echo in", login=login.format(grant=grant), options=options)
        assert b"Permission denied" in done.stderr
        assert b"Your grant of web-1-operator has ended. Ask again at" in done.stderr
        assert grant.access_sessions.count() == 0

    def test_says_that_it_has_expired_where_the_grant_was_extended(
        self, unregistered: Visitor, operator: Role, host: Sshd
    ):
        grant = hold(operator)
        line = host.user_ca.sign_user(
            public_key=unregistered.public_key,
            key_id=grant.external_name,
            principals=[grant.external_name],
            now=clock.now() - dt.timedelta(hours=2),
            valid_for_seconds=600,
        )
        done = unregistered.ssh("echo in", options=[*certified(unregistered, line), *LOUD])
        assert b"Permission denied" in done.stderr
        assert b"Your certificate can't be used now. It expired at" in done.stderr

    def test_says_nothing_to_who_has_not_its_key(self, unregistered: Visitor, operator: Role):
        grant = hold(operator)
        line = certify(unregistered, grant)
        Grant.objects.update(state="REVOKING")
        stranger = unregistered.folder / "stranger"
        stranger.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        stranger.chmod(0o600)
        options = [*certified(unregistered, line), f"-oIdentityFile={stranger}", *LOUD, "-v"]
        unregistered.key.unlink()
        done = unregistered.ssh("echo in", options=options)
        assert b"Offering public key" in done.stderr
        assert b"Permission denied" in done.stderr
        assert b"has ended" not in done.stderr

    def test_leaves_its_holder_their_registered_key(self, rita: Visitor, operator: Role):
        """A certificate of yesterday lies beside the key, and ssh offers it first."""
        options = certified(rita, certify(rita, hold(operator)))
        Grant.objects.update(state="ENDED", end_reason="returned", revocation_verified_at=NOW)
        hold(operator)
        done = rita.ssh("echo in", options=options)
        assert done.stdout == b"in\n", done.stderr
        assert closed_session().proof == "key"

    @pytest.mark.parametrize("extra", [[], ["AuthorizedPrincipalsFile none"]], ids=["ours", "none"])
    def test_opens_no_host_directly(
        self, unregistered: Visitor, operator: Role, host: Sshd, extra: list[str]
    ):
        """Neither where hosts name the principals of an account, as ours do, nor where sshd
        takes the account's own name for one.
        """
        grant = hold(operator)
        line = certify(unregistered, grant)
        with Sshd(as_root=True, user_ca=host.user_ca, extra=extra) as direct:
            direct.allow("web", OPERATOR)
            with closing(direct.client(principals=["web", direct.login])) as client:
                assert client.ssh("echo in").stdout == "in\n"
                (client.folder / "id-cert.pub").write_text(line + "\n")
                (client.folder / "id").write_bytes(unregistered.key.read_bytes())
                for login in (direct.login, "nobody", OPERATOR, grant.external_name):
                    client.login = login
                    done = client.ssh("echo in")
                    assert "Permission denied" in done.stderr
                    assert done.stdout == ""

    @pytest.mark.parametrize(
        "change",
        [
            {"by": "somebody"},
            {"principals": ["web"]},
            {"principals": ["web", OPERATOR]},
            {"key_id": "jit_" + "0" * 32},
            {"force_command": "true"},
            {"now": clock.now() - dt.timedelta(hours=2)},
        ],
        ids=["wrong authority", "a host's", "a role's", "no grant's", "for hosts", "expired"],
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
        for login in (grant.external_name, OPERATOR):
            done = unregistered.ssh("echo in", login=login, options=options)
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
