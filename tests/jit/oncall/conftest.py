"""On-call systems to ask: prism with PagerDuty's document, and a fake of ours that can fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from tests.standins import on_call_fake
from tests.standins.on_call_fake import POLICY, SERVICE, FakeOnCall
from tests.standins.pagerduty_prism import Prism

TOKEN = "the-api-token-of-the-tests"


@pytest.fixture(scope="session")
def prism() -> Iterator[Prism]:
    running = Prism()
    yield running
    running.stop()


@pytest.fixture
def fake() -> Iterator[FakeOnCall]:
    with on_call_fake.running() as state:
        yield state


@pytest.fixture
def connected(fake: FakeOnCall, settings: object) -> FakeOnCall:
    """The fake, set up as this installation's PagerDuty with one service, `payments`."""
    cache.clear()
    settings.ONCALL_SYSTEMS = {
        "pagerduty": {
            "adapter": "jit.oncall.adapters.pagerduty.PagerDuty",
            "token": TOKEN,
            "url": fake.url,
        }
    }
    settings.ONCALL_SERVICES = [f"payments=pagerduty/policy:{POLICY}+service:{SERVICE}"]
    return fake
