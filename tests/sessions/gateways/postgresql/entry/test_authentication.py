"""Who is let in, and what the others are told."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jit.kernel import clock
from sessions.gateways.postgresql.protocol import scram
from tests.sessions.gateways.postgresql.ground import Ground, running, until
from tests.sessions.gateways.postgresql.raw import Raw


def refusal(dsn: str) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(dsn).close()
    found = re.search(r"FATAL:  (.*)", str(caught.value))
    assert found, str(caught.value)
    return found[1]


class TestPasswords:
    def test_the_right_one_opens_once(self, ground: Ground) -> None:
        password = ground.broker.password_for("jit_writer")
        ground.connect(password=password).close()
        again = refusal(ground.dsn(password=password))
        assert "for one log-in only" in again
        assert "fetch a fresh one" in again

    def test_wrong_ones_and_names_that_do_not_exist_sound_the_same(self, ground: Ground) -> None:
        ground.broker.password_for("jit_writer")
        wrong = refusal(ground.dsn(password="wrong"))
        nobody = refusal(ground.dsn(name="jit_nobody", password="wrong"))
        assert wrong == nobody

    def test_the_question_to_a_name_that_does_not_exist_is_always_the_same(
        self, ground: Ground
    ) -> None:
        """A salt that changes from one log-in to the next would tell which names exist."""
        salts = set()
        for _ in range(2):
            with Raw(ground) as raw:
                raw.startup({"user": "jit_nobody", "database": "shop"})
                raw.send_sasl("n,,n=,r=abc")
                salts.add(raw.until(b"R")[-1].split(b",s=")[1])
        assert len(salts) == 1

    def test_may_be_made_once_it_is_asked_for(self, ground: Ground) -> None:
        """So do programs that are given a function instead of a password."""
        with Raw(ground) as raw:
            raw.startup({"user": "jit_writer", "database": "shop"})
            client = scram.ScramClient("")
            raw.send_sasl(client.first().decode())
            asked = raw.until(b"R")[-1][4:]
            client._password = ground.broker.password_for("jit_writer")
            raw.send(b"p", client.final(asked))
            client.check(raw.until(b"R")[-1][4:])
            raw.until(b"Z")

    def test_the_houses_refusal_is_passed_on(self, ground: Ground) -> None:
        ground.broker.refuses = "Your grant ended at 10:00. Ask again on the web page."
        assert refusal(ground.dsn()) == ground.broker.refuses

    def test_the_sqlstate_is_that_of_a_wrong_password(self, ground: Ground) -> None:
        with Raw(ground) as raw:
            raw.startup({"user": "jit_nobody", "database": "shop"})
            raw.send_sasl("n,,n=,r=abc")
            first = raw.until(b"R")[-1]
            nonce = first.split(b"r=")[1].split(b",")[0].decode()
            raw.send(b"p", f"c=biws,r={nonce},p={'A' * 43}=".encode())
            assert b"C28P01\0" in raw.until(b"E")[-1]


class TestWishes:
    def test_another_database_is_refused_with_the_one_that_may_be_had(self, ground: Ground) -> None:
        said = refusal(ground.dsn(dbname="attic"))
        assert said == "This grant does not reach a database 'attic'. Connect to shop."

    def test_settings_are_passed_on(self, ground: Ground) -> None:
        options = "-c search_path=pg_catalog,public -c statement_timeout=4s"
        with ground.connect(options=options, application_name="report") as connection:
            row = connection.execute(
                "SELECT current_setting('search_path'), current_setting('statement_timeout'),"
                " current_setting('application_name')"
            ).fetchone()
        assert row == ("pg_catalog,public", "4s", "report")
        assert ground.broker.attempts[-1].client == "report"

    @pytest.mark.parametrize(
        "options",
        [
            "--search-path=pg_catalog",
            "-c search-path=pg_catalog",
            "-csearch-path=pg_catalog",
            "-c SEARCH_PATH=pg_catalog",
        ],
    )
    def test_a_dash_in_a_settings_name_is_an_underscore(self, ground: Ground, options: str) -> None:
        with ground.connect(options=options) as connection:
            row = connection.execute("SHOW search_path").fetchone()
        assert row == ("pg_catalog",)

    @pytest.mark.parametrize(
        "options",
        [
            "-c role=postgres",
            "-crole=postgres",
            "--role=postgres",
            "-c session_authorization=postgres",
            "-c session-authorization=postgres",
            "-csession-Authorization=postgres",
            "--session-authorization=postgres",
            "-c ROLE=postgres",
            "-c\\ role=postgres",
            "-d 5",
        ],
    )
    def test_nobody_becomes_somebody_else_by_options(self, ground: Ground, options: str) -> None:
        said = refusal(ground.dsn(options=options))
        assert "can't be set at log-in" in said or "only settings" in said
        assert ground.broker.attempts == []

    def test_there_is_no_replication(self, ground: Ground) -> None:
        assert "Replication can't be had" in refusal(ground.dsn(replication="database"))

    def test_the_targets_role_is_set_where_the_target_can_not(self, ground: Ground) -> None:
        with ground.root() as root:
            root.execute(f"ALTER ROLE {ground.role} RESET role")
        try:
            ground.broker.target_connection = replace(
                ground.broker.target_connection, options="-c role=shop_writer"
            )
            with ground.connect(options="-c statement_timeout=4s") as connection:
                row = connection.execute("SELECT current_user").fetchone()
            assert row == ("shop_writer",)
        finally:
            with ground.root() as root:
                root.execute(f"ALTER ROLE {ground.role} SET role = shop_writer")


class TestHouse:
    @pytest.mark.parametrize("where", ["verifiers", "admit", "enter"])
    def test_that_breaks_lets_nobody_in_and_goes_on(self, ground: Ground, where: str) -> None:
        ground.broker.breaks_at = where
        assert "could not open your session just now" in refusal(ground.dsn())
        ground.broker.breaks_at = ""
        ground.broker.known.clear()
        ground.connect().close()
        assert until(lambda: ground.backends() == 0)


class TestTarget:
    def test_one_that_is_down_is_said_to_be(self, ground: Ground) -> None:
        ground.broker.target_connection = replace(ground.broker.target_connection, port=1)
        said = refusal(ground.dsn())
        assert said.startswith("orders-db did not take the connection")
        assert said.endswith("Try again soon.")
        assert ground.closed() == "lost"

    def test_its_limit_of_connections_is_told_as_the_grants(self, ground: Ground) -> None:
        ground.broker.target_connection = replace(
            ground.broker.target_connection, connection_limit=1
        )
        with ground.root() as root:
            root.execute(f"ALTER ROLE {ground.role} CONNECTION LIMIT 1")
        try:
            with ground.connect():
                said = refusal(ground.dsn())
        finally:
            with ground.root() as root:
                root.execute(f"ALTER ROLE {ground.role} CONNECTION LIMIT -1")
        assert said.startswith(
            "Your grant of orders-db-writer allows 1 connection at once, and it is in use. Close"
        )

    def test_a_role_that_was_renamed_is_named(self, ground: Ground) -> None:
        """On 18 the server lets the bare log-in role in, which may do nothing."""
        ground.broker.target_connection = replace(
            ground.broker.target_connection, role="shop_writer"
        )
        ground.connect().close()
        with ground.root() as root:
            root.execute("ALTER ROLE shop_writer RENAME TO shop_scribe")
        try:
            said = refusal(ground.dsn())
        finally:
            with ground.root() as root:
                root.execute("ALTER ROLE shop_scribe RENAME TO shop_writer")
        assert "shop_writer" in said
        assert said.endswith("Trying again does not help: tell your operators.")

    def test_a_role_that_is_gone_is_not_the_clients_password(self, ground: Ground) -> None:
        ground.broker.target_connection = replace(ground.broker.target_connection, user="jit_gone")
        assert "orders-db did not take the connection" in refusal(ground.dsn())

    def test_one_without_tls_where_it_is_demanded(self, ground: Ground) -> None:
        ground.broker.target_connection = replace(
            ground.broker.target_connection, sslmode="verify-full"
        )
        assert "speaks no TLS, which its sslmode verify-full demands" in refusal(ground.dsn())


def _issue(
    folder: Path, authority: tuple[x509.Name, ec.EllipticCurvePrivateKey], name: str
) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer, signing = authority
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(clock.now() - dt.timedelta(minutes=1))
        .not_valid_after(clock.now() + dt.timedelta(minutes=5))
        .add_extension(
            x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True
        )
        .sign(signing, hashes.SHA256())
    )
    certificate, key_file = folder / f"{name}.pem", folder / f"{name}-key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, key_file


class TestClientCertificates:
    def test_open_without_a_password_for_the_name_in_them(self, tmp_path: Path) -> None:
        root_key = ec.generate_private_key(ec.SECP256R1())
        root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clients")])
        own = (
            x509.CertificateBuilder()
            .subject_name(root_name)
            .issuer_name(root_name)
            .public_key(root_key.public_key())
            .serial_number(1)
            .not_valid_before(clock.now() - dt.timedelta(minutes=1))
            .not_valid_after(clock.now() + dt.timedelta(minutes=5))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(root_key, hashes.SHA256())
        )
        clients = tmp_path / "clients.pem"
        clients.write_bytes(own.public_bytes(serialization.Encoding.PEM))
        certificate, key = _issue(tmp_path, (root_name, root_key), "jit_writer")
        foreign, foreign_key = _issue(
            tmp_path, (root_name, ec.generate_private_key(ec.SECP256R1())), "jit_foreign"
        )
        with running("18", tmp_path / "gateway", client_authority=clients) as ground:
            ground.broker.names_by_certificate.add("jit_writer")
            shown = {"sslcert": certificate, "sslkey": key, "password": "none"}
            with ground.connect(**shown) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            assert ground.broker.attempts[-1].proof == "certificate"
            # Another's name still takes that one's password.
            assert "Nothing opens" in refusal(ground.dsn(name="jit_other", **shown))
            # A certificate of another authority opens not even the TLS.
            with pytest.raises(psycopg.OperationalError):
                ground.connect(sslcert=foreign, sslkey=foreign_key)
