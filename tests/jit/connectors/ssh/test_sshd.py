"""Real sshd and the real ssh client take what we sign, and refuse the rest with a sentence."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest

from jit.connectors.ssh import certificates
from tests.support.sshd import Sshd, new_authority

NAME = "jit_0123456789abcdef0123456789abcdef"
REFUSED = "Permission denied (publickey)"


@pytest.fixture(scope="module", params=[False, True], ids=["unprivileged", "as_this_user"])
def server(request) -> Iterator[Sshd]:
    with Sshd(as_root=request.param) as running:
        yield running


@pytest.fixture
def host(server: Sshd) -> Sshd:
    server.allow("web")
    server.trust(server.user_ca)
    server.revoke()
    return server


class TestSshd:
    def test_lets_a_certificate_in_by_its_principal(self, host):
        with contextlib.closing(host.client()) as rita:
            done = rita.ssh("id -un")
            assert (done.returncode, done.stdout.strip()) == (0, host.login), done.stderr

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"seconds": 10, "ago": 60}, "Certificate invalid: expired"),
            ({"principals": ["db"]}, "does not contain an authorized principal|does not match"),
            ({"by": new_authority()}, "CA .* is not trusted|not listed|Failed publickey"),
            ({"source_address": ["10.9.8.7"]}, "source address"),
        ],
        ids=["expired", "foreign principal", "wrong CA", "from elsewhere"],
    )
    def test_refuses(self, host, changes, why):
        before = len(host.log())
        with contextlib.closing(host.client(**changes)) as rita:
            done = rita.ssh("true")
            assert done.returncode == 255
            assert REFUSED in done.stderr
        assert re.search(why, host.log()[before:]), host.log()[before:]

    def test_refuses_a_revoked_key_id_under_any_serial(self, host):
        host.revoke(key_ids=[NAME])
        for _ in range(2):
            with contextlib.closing(host.client(key_id=NAME)) as rita:
                assert REFUSED in rita.ssh("true").stderr
        with contextlib.closing(host.client(key_id="jit_another")) as bo:
            assert bo.ssh("true").returncode == 0

    def test_refuses_a_revoked_serial_alone(self, host):
        with (
            contextlib.closing(host.client(key_id=NAME)) as old,
            contextlib.closing(host.client(key_id=NAME)) as new,
        ):
            host.revoke(serials=[certificates.read(old.certificate).serial])
            assert REFUSED in old.ssh("true").stderr
            assert new.ssh("true").returncode == 0

    def test_refuses_everybody_while_the_list_is_missing(self, host):
        host.krl.unlink()
        with contextlib.closing(host.client()) as rita:
            assert REFUSED in rita.ssh("true").stderr
            host.revoke()
            assert rita.ssh("true").returncode == 0

    def test_trusts_two_authorities_while_one_follows_the_other(self, host):
        new = new_authority()
        host.trust(host.user_ca, new)
        for by in (host.user_ca, new):
            with contextlib.closing(host.client(by=by)) as rita:
                assert rita.ssh("true").returncode == 0
        host.revoke(key_ids=[NAME])
        for by in (host.user_ca, new):
            with contextlib.closing(host.client(by=by, key_id=NAME)) as rita:
                assert REFUSED in rita.ssh("true").stderr

    def test_gives_a_terminal_and_files(self, host, tmp_path):
        (tmp_path / "it").write_text("as it was")
        with contextlib.closing(host.client()) as rita:
            shown = rita.ssh("tty", options=["-tt"])
            assert "/dev/pts/" in shown.stdout, shown.stderr
            place = f"/tmp/jit-{tmp_path.name}"
            for source, sink in ((tmp_path / "it", f":{place}"), (f":{place}", tmp_path / "back")):
                done = rita.scp(source, sink)
                assert done.returncode == 0, done.stderr
            rita.ssh("rm", place)
            assert (tmp_path / "back").read_text() == "as it was"


class TestClient:
    def test_refuses_a_host_of_another_authority(self, host):
        with contextlib.closing(host.client()) as rita:
            (rita.folder / "known_hosts").write_text(host.known_hosts(by=new_authority()))
            done = rita.ssh("true")
            assert "Host key verification failed" in done.stderr

    def test_refuses_a_host_of_another_name(self, host):
        with contextlib.closing(host.client()) as rita:
            rita.alias = "web-2"
            assert "Host key verification failed" in rita.ssh("true").stderr
