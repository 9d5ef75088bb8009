"""What keeps an installation from starting."""

from __future__ import annotations

from typing import Any

import pytest

from sessions.recording import checks


class TestRecordings:
    def test_the_defaults_are_fine(self) -> None:
        assert checks.recordings() == []

    @pytest.mark.parametrize(
        ("name", "value", "found"),
        [
            ("RECORDINGS_STORE", "sessions.recording.stores.none.Store", "sessions.E001"),
            ("RECORDINGS_S3", {"bucket": "", "lock": "COMPLIANCE"}, "sessions.E001"),
            ("REDACTION_PATTERNS", ["fine", "(open"], "sessions.E002"),
            ("RECORDINGS_KEPT_DAYS", {"low": 1, "medium": 1, "high": 0}, "sessions.E003"),
        ],
    )
    def test_what_can_not_work_is_told(
        self, settings: Any, name: str, value: Any, found: str
    ) -> None:
        setattr(settings, name, value)
        (told,) = checks.recordings()
        assert told.id == found
        assert told.hint
