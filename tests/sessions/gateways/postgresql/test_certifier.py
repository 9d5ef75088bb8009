"""Certificates for people's keys: made for a grant, shown by real clients, worthless after it."""

from __future__ import annotations

import base64
import datetime as dt
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from jit.audit.models import AuditEvent
from jit.catalog import sealed_store
from jit.catalog.models import Role
from jit.elevation.models import Grant
from jit.kernel import clock
from jit.kernel.actor import CLOCK
from jit.workflow.credential import CredentialNotActive, NotYourCredential
from sessions.gateways.postgresql import certificates as made_here
from sessions.gateways.postgresql import certifier
from sessions.models import AccessSession
from sessions.operations import certificates, cutting
from sessions.operations.certificates import NoCertificatesHere
from sessions.operations.keys import UnusableKey
from tests.contracts.postgresql import prepared
from tests.support import people
from tests.support.postgresql_gateway import RunningGateway, backends, gateway_in, make_target
from tests.support.processes import until
from tests.support.ssh_gateway import closed_session, events_of, facts_of, hold

PSQL = "/usr/lib/postgresql/15/bin/psql"


@pytest.fixture
def writer(transactional_db: None, tmp_path: Path) -> Role:
    people.group("sre-managers")
    return make_target("18", tmp_path)


@pytest.fixture
def gateway(writer: Role, tmp_path: Path, settings: Any) -> Iterator[RunningGateway]:
    with gateway_in(tmp_path) as running:
        settings.POSTGRESQL_GATEWAY = settings.POSTGRESQL_GATEWAY | {
            "client_authority": str(running.clients),
            "client_key": f"file:{running.clients_key}",
            "authority": str(running.authority),
        }
        yield running


class Laptop:
    """A key that stays where it was made, and what was certified for it."""

    def __init__(self, folder: Path) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.key, self.certificate = folder / "jit.key", folder / "jit.crt"
        self.key.touch(mode=0o600)
        self.key.write_bytes(
            self.private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    @property
    def public_key(self) -> str:
        return public(self.private)

    def certified(self, grant: Grant, username: str = "rita", key: str = "") -> x509.Certificate:
        user = people.known_as(username)
        pem = certificates.certify(
            grant_id=grant.pk,
            user=user,
            public_key=key or self.public_key,
            actor=people.acting(user),
        )
        self.certificate.write_text(pem)
        return x509.load_pem_x509_certificate(pem.encode())

    def shown(self) -> dict[str, Any]:
        return {"sslcert": str(self.certificate), "sslkey": str(self.key), "password": "none"}


def public(key: Any, encoding: Any = serialization.Encoding.PEM) -> Any:
    told = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return told.decode() if encoding is serialization.Encoding.PEM else told


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


class TestCertify:
    def test_opens_the_grant_as_often_as_wanted_and_is_on_record(
        self, gateway: RunningGateway, writer: Role, laptop: Laptop
    ):
        grant = hold(writer, record="required")
        laptop.certified(grant)
        offered = gateway.offer(grant)
        for number in range(3):
            with gateway.connect(offered, **laptop.shown()) as connection:
                row = connection.execute("SELECT current_user, %s::int", [number]).fetchone()
                assert row == ("app_rw", number)
        until(lambda: AccessSession.objects.filter(state="CLOSED").count() == 3)
        assert set(AccessSession.objects.values_list("proof", flat=True)) == {"certificate"}
        (fact,) = facts_of(events_of(gateway, AccessSession.objects.first()), "statement")
        assert fact["text"] == "SELECT current_user, $1::int"
        event = AuditEvent.objects.get(action="session.certificate-signed", grant_id=grant.pk)
        assert event.content["body"]["public_key"] == laptop.public_key

    def test_is_what_psql_takes_by_the_line_that_is_shown(
        self, gateway: RunningGateway, writer: Role, laptop: Laptop
    ):
        grant = hold(writer)
        laptop.certified(grant)
        line = gateway.offer(grant)["psql_with_certificate"]
        assert "sslcert=jit.crt sslkey=jit.key" in line
        program = line.replace("psql ", f"{PSQL} -XAtc 'SELECT session_user' ", 1)
        done = subprocess.run(
            ["bash", "-c", program],
            cwd=laptop.key.parent,
            env={"PATH": os.environ["PATH"], "PGPASSWORD": ""},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.stdout == f"{grant.external_name}\n", done.stderr
        assert closed_session().proof == "certificate"

    def test_ends_with_the_grant_and_is_for_its_name_and_for_clients_alone(
        self, gateway: RunningGateway, writer: Role, laptop: Laptop
    ):
        grant = hold(writer, seconds=600)
        grant.refresh_from_db()
        made = laptop.certified(grant)
        assert grant.ends_at
        left = grant.ends_at - made.not_valid_after_utc
        assert dt.timedelta(0) <= left < dt.timedelta(seconds=1)
        (name,) = made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert name.value == grant.external_name
        usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
        ca = made.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert not ca.ca

    def test_opens_no_other_grant(self, gateway: RunningGateway, writer: Role, laptop: Laptop):
        mine, theirs = hold(writer), hold(writer, "ada")
        laptop.certified(mine)
        offered = gateway.offer(theirs)
        with pytest.raises(psycopg.OperationalError, match="Nothing opens"):
            gateway.connect(offered, **laptop.shown())

    def test_is_worthless_at_once_when_the_grant_is_taken_back_and_what_is_open_ends(
        self, gateway: RunningGateway, writer: Role, laptop: Laptop
    ):
        grant = hold(writer)
        laptop.certified(grant)
        offered = gateway.offer(grant)
        connection = gateway.connect(offered, **laptop.shown())
        until(lambda: AccessSession.objects.filter(state="LIVE").exists())
        Grant.objects.update(state="REVOKING", end_reason="revoked")
        grant.refresh_from_db()
        assert cutting.cut(grants=[grant], now=clock.now()) == set()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
        until(lambda: not backends(prepared("18"), grant))
        with pytest.raises(psycopg.OperationalError, match="orders-db-writer has ended"):
            gateway.connect(offered, **laptop.shown())

    def test_that_is_over_is_told_so(self, gateway: RunningGateway, writer: Role, laptop: Laptop):
        grant = hold(writer)
        Grant.objects.filter(pk=grant.pk).update(ends_at=clock.now() + dt.timedelta(seconds=2))
        made = laptop.certified(grant)
        Grant.objects.filter(pk=grant.pk).update(ends_at=clock.now() + dt.timedelta(hours=1))
        offered = gateway.offer(grant)
        until(lambda: clock.now() >= made.not_valid_after_utc)
        with pytest.raises(psycopg.OperationalError, match="Your certificate ended at") as caught:
            gateway.connect(offered, **laptop.shown())
        assert "get a fresh certificate" in str(caught.value)
        assert not AccessSession.objects.exists()

    def test_is_for_its_holder_alone_and_while_the_grant_is_active(
        self, gateway: RunningGateway, writer: Role, laptop: Laptop
    ):
        grant = hold(writer)
        with pytest.raises(NotYourCredential):
            laptop.certified(grant, "ada")
        Grant.objects.update(ends_at=clock.now() - dt.timedelta(seconds=1))
        with pytest.raises(CredentialNotActive):
            laptop.certified(grant)

    def test_is_signed_with_a_key_in_the_sealed_store_too(
        self, gateway: RunningGateway, writer: Role, laptop: Laptop, settings: Any
    ):
        settings.POSTGRESQL_GATEWAY["client_key"] = "db:clients"
        grant = hold(writer)
        with pytest.raises(NoCertificatesHere, match="no secret clients"):
            laptop.certified(grant)
        secret = SecretStr(gateway.clients_key.read_text())
        sealed_store.put(name="clients", secret=secret, actor=CLOCK, now=clock.now())
        laptop.certified(grant)
        with gateway.connect(gateway.offer(grant), **laptop.shown()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_says_when_nothing_is_signed_here(
        self, gateway: RunningGateway, writer: Role, laptop: Laptop, settings: Any
    ):
        settings.POSTGRESQL_GATEWAY["client_key"] = ""
        grant = hold(writer)
        with pytest.raises(NoCertificatesHere, match="CLIENT_AUTHORITY"):
            laptop.certified(grant)
        assert "psql_with_certificate" not in gateway.offer(grant)

    def test_refuses_an_authoritys_key_that_is_not_its_certificates(
        self, gateway: RunningGateway, writer: Role, laptop: Laptop, settings: Any, tmp_path: Path
    ):
        _, other = made_here.ensure_clients(tmp_path / "other", now=clock.now())
        settings.POSTGRESQL_GATEWAY["client_key"] = f"file:{other}"
        with pytest.raises(NoCertificatesHere, match="not that of its certificate"):
            laptop.certified(hold(writer))


class TestRead:
    @pytest.mark.parametrize(
        "key",
        [
            ec.generate_private_key(ec.SECP384R1()),
            ed25519.Ed25519PrivateKey.generate(),
            rsa.generate_private_key(65537, 2048),
        ],
        ids=["ecdsa", "ed25519", "rsa"],
    )
    def test_takes_a_key_in_pem_in_base64_and_a_request(self, key: Any) -> None:
        der = public(key, serialization.Encoding.DER)
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]))
            .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        )
        asked = request.public_bytes(serialization.Encoding.PEM).decode()
        for given in (public(key), base64.b64encode(der).decode(), asked):
            assert certifier.read(given) == key.public_key()

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ("", "no public key"),
            ("hunter2", "no public key"),
            ("ssh-ed25519 AAAAC3Nza", "no public key"),
            ("-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----", "no public key"),
            (public(rsa.generate_private_key(65537, 1024)), "2048 bits"),
        ],
    )
    def test_refuses_the_rest_without_repeating_it(self, given: str, why: str) -> None:
        with pytest.raises(UnusableKey, match=why) as refused:
            certifier.read(given)
        assert "hunter2" not in refused.value.detail

    def test_refuses_a_request_that_somebody_altered(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rita")]))
            .sign(key, hashes.SHA256())
        )
        der = bytearray(made.public_bytes(serialization.Encoding.DER))
        at = der.index(b"rita")
        der[at : at + 4] = b"root"
        body = base64.encodebytes(bytes(der)).decode()
        altered = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----"
        with pytest.raises(UnusableKey, match="not signed by its own key"):
            certifier.read(altered)
