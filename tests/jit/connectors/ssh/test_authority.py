"""What is signed, what is refused, and what OpenSSH itself reads in it."""

from __future__ import annotations

import datetime as dt
import subprocess

import pytest

from jit.connectors.base import Context, Refused, Unreachable
from jit.connectors.ssh import authority, certificates, keys
from jit.connectors.ssh.authority import Authority
from jit.connectors.ssh.certificates import BadCertificate
from jit.connectors.ssh.config import SSHConfig, SSHRole

NOW = dt.datetime(2026, 3, 1, 12, 0, 0, 700_000, tzinfo=dt.UTC)
NAME = "jit_0123456789abcdef0123456789abcdef"


@pytest.fixture
def ca() -> Authority:
    return Authority.from_text(keys.new_private_key())


@pytest.fixture
def person() -> str:
    return keys.public_line(keys.read_private(keys.new_private_key()), "rita@laptop")


def sign(ca, person, **changes):
    order = {
        "public_key": person,
        "key_id": NAME,
        "principals": ["web-root"],
        "now": NOW,
        "valid_before": NOW + dt.timedelta(minutes=10),
    }
    return ca.sign_user(**order | changes)


class TestSignUser:
    def test_openssh_reads_what_was_signed(self, ca, person, tmp_path):
        line = sign(
            ca,
            person,
            extensions=["permit-pty"],
            source_address=["10.1.2.3"],
            force_command="date",
            serial=77,
        )
        (tmp_path / "it").write_text(line)
        said = subprocess.run(
            ["ssh-keygen", "-L", "-f", tmp_path / "it"],
            check=True,
            capture_output=True,
            text=True,
            env={"TZ": "UTC"},
        ).stdout
        words = " ".join(said.split())
        assert f'Key ID: "{NAME}" Serial: 77' in words
        assert "from 2026-03-01T11:59:30 to 2026-03-01T12:10:00 Principals: web-root" in words
        assert "force-command date source-address 10.1.2.3/32 Extensions: permit-pty" in words
        assert f"Signing CA: ED25519 {ca.fingerprint}" in words

    def test_permits_nothing_unless_told(self, ca, person):
        found = certificates.read(sign(ca, person))
        assert found.extensions == frozenset()
        assert found.critical_options == {}

    def test_ends_at_the_earlier_end_rounded_down(self, ca, person):
        found = certificates.read(sign(ca, person, valid_for_seconds=60))
        assert found.valid_before == NOW.replace(microsecond=0) + dt.timedelta(seconds=60)

    def test_gives_every_certificate_a_serial_of_its_own(self, ca, person):
        serials = {certificates.read(sign(ca, person)).serial for _ in range(20)}
        assert len(serials) == 20
        assert min(serials) > 0

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"principals": []}, "good for every account"),
            ({"principals": ["a,b"]}, "can't be a principal"),
            ({"key_id": ""}, "without a key id"),
            ({"key_id": "a\nb"}, "without a key id"),
            ({"valid_before": None}, "needs an end"),
            ({"valid_before": NOW}, "has passed"),
            ({"valid_before": NOW + dt.timedelta(days=32)}, "longer than 31 days"),
            ({"extensions": ["permit-everything"]}, "no extensions permit-everything"),
            ({"source_address": ["home"]}, "no address or network"),
            ({"public_key": "ssh-ed25519 AAAA"}, "the key to be certified"),
        ],
    )
    def test_refuses_what_must_not_be_signed(self, ca, person, changes, why):
        with pytest.raises(Refused, match=why):
            sign(ca, person, **changes)


class TestSignForGateway:
    ROLE = SSHRole(principals=("web-root",), forwards=[{"host": "127.0.0.1", "port": 80}])

    def ask(self, ca, person, ends_at, role=ROLE):
        return certificates.read(
            ca.sign_for_gateway(
                public_key=person, external_name=NAME, role=role, ends_at=ends_at, now=NOW
            )
        )

    def test_lives_for_a_minute_at_most(self, ca, person):
        found = self.ask(ca, person, NOW + dt.timedelta(hours=1))
        assert found.valid_before == NOW.replace(microsecond=0) + dt.timedelta(seconds=60)
        assert found.key_id == NAME

    def test_never_outlives_the_grant(self, ca, person):
        end = NOW + dt.timedelta(seconds=7)
        assert self.ask(ca, person, end).valid_before <= end
        with pytest.raises(Refused, match="has passed"):
            self.ask(ca, person, NOW)

    def test_permits_what_the_role_does(self, ca, person):
        end = NOW + dt.timedelta(hours=1)
        assert self.ask(ca, person, end).extensions == {"permit-pty", "permit-port-forwarding"}
        bare = SSHRole(principals=("web",), shell=False, exec=False)
        assert self.ask(ca, person, end, bare).extensions == frozenset()
        agent = SSHRole(principals=("web",), agent_forwarding=True)
        assert "permit-agent-forwarding" in self.ask(ca, person, end, agent).extensions

    def test_marks_what_it_starts_with_the_grants_name(self, ca, person):
        line = ca.sign_for_gateway(
            public_key=person,
            external_name=NAME,
            role=self.ROLE,
            ends_at=NOW + dt.timedelta(hours=1),
            now=NOW,
            tag="0123456789ab",
        )
        options = certificates.read(line).critical_options
        assert f"JIT_GRANT={NAME}@0123456789ab" in options["force-command"]


class TestSignHost:
    def test_names_the_host(self, ca, person):
        found = certificates.read(ca.sign_host(public_key=person, names=["web-1"], now=NOW))
        assert found.is_host
        found.check(trusted=[ca.public_key], now=NOW, principal="web-1", host=True)
        with pytest.raises(BadCertificate, match="where a user certificate is needed"):
            found.check(trusted=[ca.public_key], now=NOW)

    def test_refuses_a_host_without_a_name(self, ca, person):
        with pytest.raises(Refused):
            ca.sign_host(public_key=person, names=[], now=NOW)


class TestCheck:
    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"now": NOW + dt.timedelta(minutes=10)}, "expired at 2026-03-01 12:10:00"),
            ({"now": NOW - dt.timedelta(minutes=1)}, "not valid before"),
            ({"principal": "web-operator"}, "not for 'web-operator'"),
            ({"key_id": "jit_other"}, "another grant"),
            ({"trusted": []}, "not trusted here"),
        ],
    )
    def test_refuses_with_a_sentence(self, ca, person, changes, why):
        found = certificates.read(sign(ca, person))
        good = {"trusted": [ca.public_key], "now": NOW, "principal": "web-root", "key_id": NAME}
        found.check(**good)
        with pytest.raises(BadCertificate, match=why):
            found.check(**good | changes)

    def test_refuses_another_authoritys(self, ca, person):
        other = Authority.from_text(keys.new_private_key())
        with pytest.raises(BadCertificate, match="not trusted here"):
            certificates.read(sign(other, person)).check(trusted=[ca.public_key], now=NOW)


class TestRead:
    def test_refuses_an_altered_certificate(self, ca, person):
        kind, _, blob = sign(ca, person).partition(" ")
        at = len(blob) - 20
        altered = blob[:at] + ("A" if blob[at] != "A" else "B") + blob[at + 1 :]
        with pytest.raises(BadCertificate):
            certificates.read(f"{kind} {altered}")

    @pytest.mark.parametrize("text", ["", "hello", "ssh-ed25519 AAAA", "x" * 20000])
    def test_refuses_what_is_none(self, text):
        with pytest.raises(BadCertificate):
            certificates.read(text)

    def test_refuses_a_bare_key(self, person):
        with pytest.raises(BadCertificate, match="bare public key"):
            certificates.read(person)


class TestOf:
    CONFIG = SSHConfig.parse(
        {
            "hosts": [{"name": "web-1"}],
            "ca": "env:JIT_TARGET_CA",
            "host_cas": [keys.public_line(keys.read_private(keys.new_private_key()))],
            "krl": "/var/lib/jit/web.krl",
            "observer": {"login": "nobody"},
        }
    )

    def test_reads_the_key_that_the_target_names(self, monkeypatch):
        text = keys.new_private_key()
        monkeypatch.setenv("JIT_TARGET_CA", text)
        assert authority.Authority.of(self.CONFIG).public_key == keys.public_line(
            keys.read_private(text)
        )

    def test_says_that_there_is_none_now(self):
        with pytest.raises(Unreachable, match="JIT_TARGET_CA is not set"):
            Authority.of(self.CONFIG, Context())

    def test_refuses_what_is_no_key_without_repeating_it(self, monkeypatch):
        monkeypatch.setenv("JIT_TARGET_CA", "hunter2")
        with pytest.raises(Refused, match="no private key") as refused:
            Authority.of(self.CONFIG)
        assert "hunter2" not in str(refused.value)
