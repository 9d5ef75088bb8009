from __future__ import annotations

import pytest

from jit.kernel import clock
from jit.policy import operations, tasks
from tests.jit.policy.support import policy
from tests.support.people import INSTALLER


@pytest.mark.django_db
class TestWatchDrift:
    def test_says_how_the_files_differ(self, settings, tmp_path):
        settings.POLICY_DIR = tmp_path
        (tmp_path / "house.yaml").write_text(policy())
        operations.install_first(files={"house.yaml": policy()}, actor=INSTALLER, now=clock.now())
        assert tasks.watch_drift() == ""
        (tmp_path / "more.yaml").write_text("x")
        assert tasks.watch_drift() == "added more.yaml"
