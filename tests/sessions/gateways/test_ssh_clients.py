"""Clients as they are: old ciphers, mistyped names, ends without a good-bye."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import subprocess
from subprocess import DEVNULL, PIPE

import asyncssh
import pytest

from jit.audit.models import AuditEvent
from jit.catalog.models import Role
from jit.elevation.models import Grant
from jit.kernel import clock
from sessions.models import AccessSession
from tests.support.processes import until
from tests.support.ssh_gateway import (
    OPERATOR,
    RunningGateway,
    Visitor,
    closed_session,
    events_of,
    facts_of,
    hold,
    password_for,
)

LOUD = ["-oLogLevel=INFO"]


class TestCiphers:
    def test_is_the_fast_one_with_whoever_has_it(self, rita: Visitor, operator: Role):
        """OpenSSH lists AES-CTR first, so that it would get it if it were offered."""
        hold(operator)
        done = rita.ssh("true", options=["-vv", "-oLogLevel=DEBUG2"])
        chosen = re.findall(r"kex: \S+ cipher: (\S+)", done.stderr.decode())
        assert chosen == ["aes128-gcm@openssh.com"] * 2

    @pytest.mark.parametrize("mac", ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-256"])
    def test_may_be_an_older_one(self, rita: Visitor, operator: Role, mac: str):
        hold(operator)
        done = rita.ssh("echo in", options=["-c", "aes256-ctr", "-m", mac])
        assert (done.stdout, done.returncode) == (b"in\n", 0)

    def test_is_found_with_a_client_that_waits_to_hear_us(
        self, gateway: RunningGateway, operator: Role
    ):
        """A client of few words, written out: it sends its version and nothing more."""
        with socket.create_connection((gateway.host, gateway.port), timeout=10) as line:
            line.sendall(b"SSH-2.0-waits\r\n")
            assert line.recv(100).startswith(b"SSH-2.0-")
            told = line.recv(4096)
        assert b"aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes256-ctr" in told


@pytest.fixture
def dropbear(rita: Visitor) -> list[str]:
    """dropbear's `dbclient` with Rita's key, as far as to whom it goes."""
    key = rita.folder / "dropbear-key"
    convert = ["dropbearconvert", "openssh", "dropbear", str(rita.key), str(key)]
    subprocess.run(convert, check=True, capture_output=True)
    gateway = rita.gateway
    name = f"{OPERATOR}@{gateway.host}"
    return ["dbclient", "-y", "-y", "-i", str(key), "-p", str(gateway.port), name]


class TestDropbear:
    """It sends a guess with its KEXINIT, which is wrong wherever our lists begin otherwise."""

    def test_is_not_cut_off_after_a_wrong_guess(self, dropbear: list[str], operator: Role):
        hold(operator)
        done = subprocess.run(
            [*dropbear, "cat; echo err >&2; exit 3"],
            input=b"data" * 50000,
            check=False,
            capture_output=True,
            timeout=40,
        )
        assert (done.returncode, done.stdout) == (3, b"data" * 50000), done.stderr
        assert b"err\n" in done.stderr
        assert closed_session().client.startswith("SSH-2.0-dropbear_")

    def test_exchanges_keys_again(
        self, dropbear: list[str], operator: Role, gateway: RunningGateway
    ):
        hold(operator)
        left = subprocess.Popen([*dropbear, "cat"], stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
        with left:
            assert left.stdin is not None
            assert left.stdout is not None
            for word in (b"before\n", b"after\n"):
                left.stdin.write(word)
                left.stdin.flush()
                assert left.stdout.readline() == word
                gateway.do(exchanged_again(gateway))
            left.stdin.close()
            assert left.wait(20) == 0


async def exchanged_again(gateway: RunningGateway) -> None:
    """Have the gateway begin a key exchange on its one connection."""
    (client,) = gateway.gateway._connections
    client.connection._send_kexinit()
    client.connection._kexinit_sent = True


class TestNames:
    def test_of_no_host_open_nothing_and_leave_no_session(
        self, rita: Visitor, operator: Role, caplog: pytest.LogCaptureFixture
    ):
        hold(operator)
        done = rita.ssh("id", login=f"{OPERATOR}+nohost", options=LOUD)
        assert b"web-1 has no host 'nohost'; it has: web-1." in done.stderr
        assert not AccessSession.objects.exists()
        assert not [entry for entry in caplog.records if entry.levelno >= logging.ERROR]

    def test_are_kept_as_they_were_given(self, gateway: RunningGateway, operator: Role):
        """A one-use password opens its grant whatever the name; the log says which it was."""
        password = password_for(hold(operator))
        asyncio.run(ran(gateway, "nonsense", password, "true"))
        (event,) = AuditEvent.objects.filter(action="session.created")
        assert event.content["body"]["login_name"] == "nonsense"

    @pytest.mark.parametrize("state", ["REVOKING", "ENDED"])
    def test_of_a_grant_that_is_over_are_told_that(self, rita: Visitor, operator: Role, state: str):
        hold(operator)
        Grant.objects.update(state=state, end_reason="returned", revocation_verified_at=clock.now())
        told = rita.ssh("id", options=LOUD).stderr
        assert b"Your grant of web-1-operator has ended. Ask again at" in told


class TestEnds:
    def test_by_a_client_that_just_closes_are_no_loss(
        self, gateway: RunningGateway, operator: Role
    ):
        """As paramiko does with its sftp sessions."""
        password = password_for(hold(operator))
        asyncio.run(closed_at_once(gateway, password))
        session = closed_session()
        assert (session.closed_because, session.closed_comment) == (
            "logout", "Their client closed it.",
        )  # fmt: skip

    def test_by_a_signal_are_in_the_recording(self, rita: Visitor, operator: Role):
        hold(operator)
        rita.ssh("kill -TERM $$")
        session = closed_session()
        assert session.closed_comment == "signal TERM"
        notices = facts_of(events_of(rita.gateway, session), "notice")
        assert [fact["text"] for fact in notices] == ["The program was ended by the signal TERM."]

    def test_are_told_to_a_client_that_waits_for_more_to_do(self, rita: Visitor, operator: Role):
        grant = hold(operator)
        stays = rita.open("sleep 66", options=LOUD)
        until(lambda: AccessSession.objects.filter(state="LIVE").exists())
        Grant.objects.filter(pk=grant.pk).update(state="REVOKING", end_reason="revoked")
        assert stays.wait(10) == 254
        assert b"Your grant was taken back." in stays.stderr.read()


async def connected(
    gateway: RunningGateway, name: str, password: str
) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        gateway.host,
        gateway.port,
        username=name,
        password=password,
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        config=None,
    )


async def ran(gateway: RunningGateway, name: str, password: str, command: str) -> None:
    async with await connected(gateway, name, password) as connection:
        await connection.run(command)


async def closed_at_once(gateway: RunningGateway, password: str) -> None:
    async with await connected(gateway, OPERATOR, password) as connection:
        process = await connection.create_process("cat", encoding=None)
        process.stdin.write(b"x")
        await process.stdout.readexactly(1)
        process.channel.abort()
        await process.channel.wait_closed()
