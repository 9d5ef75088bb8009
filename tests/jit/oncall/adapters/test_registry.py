from __future__ import annotations

import pytest

from jit.oncall.adapters import registry
from jit.ops import checks
from tests.standins.on_call_fake import FakeOnCall


class TestServices:
    def test_are_those_of_the_settings(self, connected: FakeOnCall) -> None:
        found = registry.services()
        assert list(found) == ["payments"]
        assert found["payments"].reference == "policy:PPOLICY1+service:PSERV01"
        assert found["payments"].system.name == "pagerduty"
        assert list(checks._on_call()) == []

    @pytest.mark.parametrize(
        "services",
        [
            ["payments"],
            ["payments=pagerduty"],
            ["payments=nobody/policy:PPOLICY1"],
            ["payments=pagerduty/PPOLICY1"],
            ["Payments=pagerduty/policy:PPOLICY1"],
            ["a=pagerduty/policy:PPOLICY1", "a=pagerduty/policy:POTHER1"],
        ],
    )
    def test_refuse_to_start_with_what_cannot_be_read(
        self, connected: FakeOnCall, settings: object, services: list[str]
    ) -> None:
        settings.ONCALL_SERVICES = services
        with pytest.raises(ValueError, match=r"must|does not|there is no"):
            registry.services()
        findings = list(checks._on_call())
        assert [finding.id for finding in findings] == ["jit.E011"]

    def test_nothing_is_set_up_by_default(self, settings: object) -> None:
        assert settings.ONCALL_SYSTEMS == {}
        assert registry.services() == {}
