"""What keeps an installation from starting."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core import checks as django_checks

from jit import env
from jit.connectors import registry
from jit.ops import checks


def ids() -> list[str]:
    return [finding.id for finding in checks.check_settings()]


@pytest.fixture(autouse=True)
def _fresh():
    registry._class_for.cache_clear()
    yield
    registry._class_for.cache_clear()


@pytest.fixture
def key_file(tmp_path: Path, settings) -> Path:
    """Return a sound key in a file of its own, which the settings name."""
    path = tmp_path / "audit.pem"
    path.write_bytes(Path(settings.AUDIT_KEY_FILE).read_bytes())
    path.chmod(0o400)
    settings.AUDIT_KEY_FILE = str(path)
    return path


class TestCheckSettings:
    def test_a_sound_installation_has_no_finding(self, key_file) -> None:
        assert checks.check_settings() == []

    @pytest.mark.parametrize(
        ("name", "value", "found"),
        [
            ("SECRET_KEY", "", "jit.E001"),
            ("SECRET_KEY", "short", "jit.E001"),
            ("SECRET_KEY", "a" * 60, "jit.E001"),
            ("SECRET_KEY", "django-insecure-0123456789abcdefghijklmnopqrstuvwxyz", "jit.E001"),
            ("SEALING_KEY_BYTES", 0, "jit.E002"),
            ("SEALING_KEY_BYTES", 16, "jit.E002"),
            ("AUDIT_KEY_FILE", "", "jit.E003"),
            ("AUDIT_KEY_FILE", "/nowhere/audit.pem", "jit.E003"),
            ("APPROVALS_BACKEND", "approvals.backend.Nobody", "jit.E004"),
            ("APPROVALS_BACKEND", "", "jit.E004"),
            ("SESSIONS_BACKEND", "nowhere.at.All", "jit.E004"),
            ("SESSIONS_BACKEND", None, "jit.E004"),
            ("CONNECTORS", {"x": "nowhere.at.All"}, "jit.E005"),
            ("CONNECTORS", {"x": "jit.kernel.clock.now"}, "jit.E005"),
            ("CONNECTOR_PLUGINS", ["not-installed"], "jit.E005"),
            ("TICKET_SYSTEMS", {"local": {"adapter": "nowhere.at.All"}}, "jit.E006"),
            ("NOTIFICATION_CHANNELS", {"pigeon": "nowhere.at.All"}, "jit.E012"),
            ("WEBHOOK_NETWORKS", ["10.0.0.1/8"], "jit.E012"),
            ("WEBHOOK_NETWORKS", ["everywhere"], "jit.E012"),
            ("TICKET_SYSTEMS", {"local": {}}, "jit.E006"),
            (
                "TICKET_SYSTEMS",
                {"local": {"adapter": "jit.tickets.adapters.jira.Jira", "url": "jira"}},
                "jit.E006",
            ),
            ("DEFAULT_TICKET_SYSTEM", "snow", "jit.E006"),
            ("BASE_URL", "http://jit.corp.example", "jit.E008"),
            ("BASE_URL", "jit.corp.example", "jit.E008"),
            ("BASE_URL", "ftp://127.0.0.1", "jit.E008"),
            ("METRICS_HOST", "prometheus.corp.example", "jit.E010"),
            ("TRUSTED_PROXIES", "proxy.corp.example", "jit.E010"),
            ("TRUSTED_PROXIES", "10.0.0.5, 0.0.0.0/0", "jit.E010"),
            ("TRUSTED_PROXIES", "::/0", "jit.E010"),
            ("BASE_URL", "https://jit.corp.example", "jit.W004"),
        ],
    )
    def test_finds(self, settings, name, value, found) -> None:
        setattr(settings, name, value)
        assert ids() == [found]
        assert all(finding.hint for finding in checks.check_settings())

    @pytest.mark.parametrize(
        ("name", "value", "found"),
        [("DEBUG", True, "jit.E007"), ("ALLOWED_HOSTS", ["*"], "jit.E009")],
    )
    def test_forgives_the_embedded_mode_alone(self, settings, name, value, found) -> None:
        setattr(settings, name, value)
        settings.EMBEDDED = True
        assert ids() == []
        settings.EMBEDDED = False
        assert ids() == [found]

    @pytest.mark.parametrize("address", ["https://jit.corp.example", "http://[::1]:8000"])
    def test_takes_tls_and_the_loopback_interface(self, settings, address) -> None:
        settings.BASE_URL = address
        settings.TRUSTED_PROXIES = "10.0.0.5, 2001:db8::/64"
        assert ids() == []

    @pytest.mark.parametrize(
        ("mode", "found"),
        [(0o400, []), (0o640, []), (0o644, ["jit.E003"]), (0o604, ["jit.E003"])],
    )
    def test_wants_the_audit_key_closed_to_others(self, key_file, mode, found) -> None:
        key_file.chmod(mode)
        assert ids() == found

    def test_wants_the_audit_key_to_be_ed25519(self, key_file) -> None:
        other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        key_file.chmod(0o600)
        key_file.write_bytes(other)
        assert ids() == ["jit.E003"]

    def test_never_repeats_a_secret(self, settings) -> None:
        settings.SECRET_KEY = "hunter2"
        settings.TICKET_SYSTEMS = {
            "local": {
                "adapter": "jit.tickets.adapters.jira.Jira",
                "url": "jira",
                "token": "hunter2",
            }
        }
        assert len(ids()) == 2
        assert "hunter2" not in str(checks.check_settings())


class TestRefuseToStartIfMisconfigured:
    @pytest.fixture
    def findings(self, monkeypatch):
        given: list[django_checks.CheckMessage] = []
        asked: list[object] = []

        def run_checks(*, databases):
            asked.append(databases)
            return given

        monkeypatch.setattr(django_checks, "run_checks", run_checks)
        yield given
        assert asked == [["default"]]

    def test_starts_with_warnings_and_logs_them(self, findings, caplog) -> None:
        findings.append(django_checks.Warning("no policy", id="jit.W001"))
        checks.refuse_to_start_if_misconfigured()
        assert "jit.W001" in caplog.text

    def test_says_everything_that_is_wrong_and_what_to_set(self, findings) -> None:
        findings += [
            django_checks.Error("weak", hint="Set JIT_SECRET_KEY", id="jit.E001"),
            django_checks.Critical("owner", hint="Let DATABASE_URL", id="jit.E021"),
        ]
        with pytest.raises(env.Misconfigured) as refused:
            checks.refuse_to_start_if_misconfigured()
        for told in ("jit.E001", "Set JIT_SECRET_KEY", "jit.E021", "Let DATABASE_URL"):
            assert told in str(refused.value)

    def test_runs_our_checks(self) -> None:
        registered = django_checks.registry.registry.get_checks()
        assert checks.check_settings in registered
