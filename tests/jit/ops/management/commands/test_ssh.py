"""`manage.py ssh_ca` and `manage.py ssh_trust` at a terminal."""

from __future__ import annotations

import io
import stat

import pytest
from django.core.management import CommandError, call_command

from jit.audit.models import AuditEvent
from jit.catalog import sealed_store
from jit.catalog.models import Role, Target
from jit.connectors.ssh import certificates, keys
from jit.identity.models import Group
from jit.kernel import clock


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, skip_checks=True)
    return out.getvalue()


class TestSshCa:
    def test_makes_a_key_that_only_its_owner_reads_and_never_replaces_it(self, tmp_path):
        path = tmp_path / "ca"
        told = run("ssh_ca", "create", str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert keys.public_line(keys.read_private(path.read_text())) in told
        assert run("ssh_ca", "show", str(path)) in told
        before = path.read_text()
        with pytest.raises(CommandError, match="is there already and stays as it is"):
            run("ssh_ca", "create", str(path))
        assert path.read_text() == before

    def test_certifies_a_hosts_key(self, tmp_path, monkeypatch):
        path = tmp_path / "host-ca"
        run("ssh_ca", "create", str(path))
        host = keys.public_line(keys.read_private(keys.new_private_key()))
        monkeypatch.setattr("sys.stdin", io.StringIO(host))
        line = run("ssh_ca", "sign-host", "--key", str(path), "--name", "web-1", "--days", "7")
        found = certificates.read(line)
        ca = run("ssh_ca", "show", str(path)).splitlines()[0]
        found.check(trusted=[ca], now=clock.now(), principal="web-1", host=True)

    @pytest.mark.parametrize("content", [None, "hunter2"])
    def test_says_what_is_wrong_with_a_file(self, tmp_path, content):
        path = tmp_path / "ca"
        if content:
            path.write_text(content)
        with pytest.raises(CommandError, match=r"No such file|no private key") as refused:
            run("ssh_ca", "show", str(path))
        assert "hunter2" not in str(refused.value)


@pytest.mark.django_db
class TestSshCaInTheSealedStore:
    def test_makes_a_key_that_nobody_sees_and_never_replaces_it(self):
        told = run("ssh_ca", "create", "db:web-ca")
        sealed = sealed_store.opened("web-ca").get_secret_value()
        assert keys.public_line(keys.read_private(sealed)) in told
        assert sealed.splitlines()[1] not in told
        assert run("ssh_ca", "show", "db:web-ca") in told
        with pytest.raises(CommandError, match="db:web-ca is there already and stays as it is"):
            run("ssh_ca", "create", "db:web-ca")
        assert sealed_store.opened("web-ca").get_secret_value() == sealed
        event = AuditEvent.objects.get(action="secret.stored")
        assert event.content["body"]["public_key"] in told

    def test_certifies_a_hosts_key(self, monkeypatch):
        run("ssh_ca", "create", "db:host-ca")
        host = keys.public_line(keys.read_private(keys.new_private_key()))
        monkeypatch.setattr("sys.stdin", io.StringIO(host))
        line = run("ssh_ca", "sign-host", "--key", "db:host-ca", "--name", "web-1")
        ca = run("ssh_ca", "show", "db:host-ca").splitlines()[0]
        certificates.read(line).check(trusted=[ca], now=clock.now(), principal="web-1", host=True)

    def test_says_how_to_make_one_that_is_missing(self):
        with pytest.raises(CommandError, match="no secret web-ca"):
            run("ssh_ca", "show", "db:web-ca")


@pytest.mark.django_db
class TestSshTrust:
    @pytest.mark.parametrize("place", ["a file", "the sealed store"])
    def test_prints_what_the_targets_hosts_need(self, tmp_path, place):
        where = f"{tmp_path}/ca" if place == "a file" else "db:web-ca"
        run("ssh_ca", "create", where)
        target = Target.objects.create(
            slug="web",
            name="web",
            kind="ssh",
            config={
                "hosts": [{"name": "web-1"}, {"name": "web-2"}],
                "ca": where if where.startswith("db:") else f"file:{where}",
                "host_cas": [keys.public_line(keys.read_private(keys.new_private_key()))],
                "krl": f"{tmp_path}/web.krl",
                "krl_refresh": 15,
                "observer": {"login": "jit-observer"},
                "login": "deploy",
            },
        )
        Role.objects.create(
            slug="web-operator",
            target=target,
            name="operator",
            risk="medium",
            owner_group=Group.objects.create(slug="owners", name="owners"),
            max_duration_seconds=3600,
            config={"principals": ["web-operator"]},
        )
        told = run("ssh_trust", "web")
        assert run("ssh_ca", "show", where).splitlines()[0] in told
        assert "principals/deploy <<'JIT'\nweb-operator\n" in told
        assert "/ssh/krl/web'" in told
        assert "OnUnitActiveSec=15" in told

    def test_knows_ssh_targets_only(self):
        Target.objects.create(slug="orders-db", name="x", kind="postgresql")
        with pytest.raises(CommandError, match="no target 'orders-db' of kind ssh"):
            run("ssh_trust", "orders-db")
