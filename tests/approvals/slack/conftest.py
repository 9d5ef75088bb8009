"""A Slack that others wrote, a person who presses its buttons, and faults on the way to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.approvals.slack.support import SIGNING_SECRET, SlackWorld
from tests.standins import slack_emulator
from tests.standins.slack_emulator import Emulator
from tests.standins.slack_faults import Faults
from tests.standins.slack_human import ResponseUrl, Workspace
from tests.support.world import World


@pytest.fixture(scope="session")
def emulator() -> Emulator:
    """The one emulator of the run, whichever module asks for it; it stops with the run."""
    return slack_emulator.shared()


@pytest.fixture(scope="session")
def between(emulator: Emulator) -> Iterator[Faults]:
    running = Faults(emulator.port)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def response_url() -> Iterator[ResponseUrl]:
    running = ResponseUrl()
    yield running
    running.stop()


@pytest.fixture
def workspace(emulator: Emulator, between: Faults, response_url: ResponseUrl) -> Workspace:
    between.forget()
    response_url.said.clear()
    return Workspace(
        emulator=emulator,
        faults=between,
        secret=SIGNING_SECRET,
        replies=response_url,
        began=emulator.mark(),
    )


@pytest.fixture
def slack(world: World, workspace: Workspace, settings: Any) -> Iterator[SlackWorld]:
    """The demo's world with Slack switched on and rita, ada, bo and olga linked."""
    made = SlackWorld(world, workspace)
    made.switch_on(settings)
    made.link("rita", "ada", "bo", "olga")
    yield made
    made.check_all_sent()
    made.forget()


@pytest.fixture
def door(db: None, workspace: Workspace, settings: Any) -> Iterator[SlackWorld]:
    """Slack's addresses alone, without anybody or anything behind them."""
    made = SlackWorld(None, workspace)
    made.switch_on(settings)
    yield made
    made.forget()
