"""A Jira that others wrote, as a child process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from jira import JIRA
from urllib3.util.retry import Retry

from jit.ops.embedded import ground

_CONFIG = """\
project_key: PAY
priorities: [[Highest, "1"], [High, "2"], [Medium, "3"], [Low, "4"], [Lowest, "5"], [SEV2, "6"],
             [Unclassified, "7"]]
epics_per_module: 0
standalone_per_module: 0
history_per_module: 0
"""


def _answers(server: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server answers, for a minute at most; False if it ended instead (its port
    was taken meanwhile).
    """
    with requests.Session() as session:
        patient = Retry(connect=10, backoff_factor=0.05, backoff_max=0.2)
        session.mount(url, requests.adapters.HTTPAdapter(max_retries=patient))
        for _ in range(40):
            if server.poll() is not None:
                break
            try:
                session.get(f"{url}/rest/api/2/serverInfo", timeout=20).raise_for_status()
            except requests.ConnectionError:
                continue
            return True
    return False


@pytest.fixture(scope="session")
def jira_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start `jira820` on a free port of the loopback interface and return its address."""
    folder = tmp_path_factory.mktemp("jira820")
    (folder / "config.yaml").write_text(_CONFIG)
    for _ in range(5):
        port = ground.free_port()
        with (folder / "log").open("ab") as log:
            server = subprocess.Popen(
                [str(Path(sys.executable).with_name("jira820"))],
                env={
                    **os.environ,
                    "JIRA820_PORT": str(port),
                    "JIRA820_CONFIG": str(folder / "config.yaml"),
                },
                stdout=log,
                stderr=log,
            )
        try:
            if _answers(server, f"http://127.0.0.1:{port}"):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            server.terminate()
            server.wait(10)
    raise RuntimeError(f"jira820 did not start:\n{(folder / 'log').read_text()}")


@pytest.fixture
def people_in_jira(jira_url: str) -> Iterator[JIRA]:
    """Return a client of somebody who works in Jira, apart from the adapter under test."""
    client = JIRA(jira_url, get_server_info=False, basic_auth=("ada", "x"))
    yield client
    client.close()
