"""A gateway that can't have its address says so and looks as if it never ran."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from sessions import health
from sessions.management.commands import run_gateway
from sessions.models import GatewayProcess
from tests.sessions import used
from tests.support import people

pytestmark = pytest.mark.django_db


@pytest.fixture
def taken(settings: Any, tmp_path: Path) -> Iterator[str]:
    settings.RECORDINGS_SPOOL = tmp_path / "spool"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        settings.GATEWAY_LISTENS = {"ssh": address, "postgresql": address}
        settings.GATEWAYS = {"ssh": address}
        yield address


class TestListening:
    @pytest.mark.parametrize("kind", ["ssh", "postgresql"])
    def test_at_a_taken_address_is_refused_by_name(
        self, taken: str, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for before in ("wait_for_database", "refuse_to_start_if_misconfigured"):
            monkeypatch.setattr(run_gateway, before, lambda: None)
        with pytest.raises(CommandError) as refused:
            call_command("run_gateway", kind)
        assert f"the {kind} gateway can't listen at {taken}" in str(refused.value)
        assert f"JIT_{kind.upper()}_GATEWAY_LISTEN" in str(refused.value)
        assert not GatewayProcess.objects.exists()


class TestReadiness:
    def test_tells_of_a_gateway_that_does_not_run(self, world: Any, settings: Any) -> None:
        settings.GATEWAYS = {"postgresql": "gateway:6432", "ssh": "gateway:2222"}
        used.gateway()
        ok, told = health.gateways()
        assert not ok
        assert told == "none runs: ssh"

    def test_is_well_where_none_is_set_up(self, settings: Any) -> None:
        settings.GATEWAYS = {}
        assert health.gateways() == (True, "none is set up")


class TestCatalogue:
    def test_tells_of_a_gateway_that_does_not_run(self, world: Any, settings: Any) -> None:
        opal = people.signed_in(Client(), world.user("opal"))
        settings.GATEWAYS = {"postgresql": "gateway:6432"}
        page = opal.get("/catalogue/").content.decode()
        assert "No postgresql gateway runs" in page
        used.gateway()
        page = opal.get("/catalogue/").content.decode()
        assert "No postgresql gateway runs" not in page
