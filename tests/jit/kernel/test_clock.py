from __future__ import annotations

import datetime as dt
import uuid

import pytest

from jit.kernel import clock, db
from jit.kernel.ids import uuid7


class TestRfc3339:
    def test_is_utc_with_microseconds(self) -> None:
        east = dt.timezone(dt.timedelta(hours=2))
        at = dt.datetime(2030, 1, 31, 11, 0, 0, 5, tzinfo=east)
        assert clock.rfc3339(at) == "2030-01-31T09:00:00.000005Z"

    def test_refuses_a_time_without_a_zone(self) -> None:
        with pytest.raises(ValueError, match="zone"):
            clock.rfc3339(dt.datetime(2030, 1, 1))  # noqa: DTZ001


class TestUtcWords:
    def test_say_the_day_of_utc(self) -> None:
        east = dt.timezone(dt.timedelta(hours=2))
        at = dt.datetime(2031, 1, 1, 1, 59, 7, tzinfo=east)
        assert clock.utc_words(at) == "2030-12-31 23:59:07 UTC"

    def test_refuse_a_time_without_a_zone(self) -> None:
        with pytest.raises(ValueError, match="zone"):
            clock.utc_words(dt.datetime(2030, 1, 1))  # noqa: DTZ001


class TestUuid7:
    def test_has_version_and_variant(self) -> None:
        made = uuid7()
        assert made.version == 7
        assert made.variant == uuid.RFC_4122

    def test_sorts_by_the_time_of_its_making(self) -> None:
        milliseconds = [uuid7().int >> 80 for _ in range(1000)]
        assert milliseconds == sorted(milliseconds)
        assert abs(milliseconds[0] / 1000 - clock.now().timestamp()) < 60


@pytest.mark.django_db
class TestDatabaseNow:
    def test_is_aware_and_near(self) -> None:
        assert abs(db.now() - clock.now()) < dt.timedelta(seconds=2)
