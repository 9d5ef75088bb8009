from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jit.policy import durations


class TestParse:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("45s", 45), ("30m", 1800), ("1h30m", 5400), ("2d", 172800), ("0s", 0), (" 1h ", 3600)],
    )
    def test_reads_units(self, text, seconds):
        assert durations.parse(text) == seconds

    @pytest.mark.parametrize("text", ["", " ", "30", "1.5h", "-1h", "1m1h", "1w", "h", "1h\n2m"])
    def test_refuses_anything_else(self, text):
        with pytest.raises(ValueError, match="is not a duration"):
            durations.parse(text)


class TestSeconds:
    def test_takes_whole_seconds_a_timedelta_or_a_text(self):
        assert durations.seconds(60) == durations.seconds("1m") == 60
        assert durations.seconds(dt.timedelta(minutes=1)) == 60

    @pytest.mark.parametrize("value", [-1, True, 1.5, None, dt.timedelta(milliseconds=5), "-1s"])
    def test_refuses_what_is_no_length_of_time(self, value):
        with pytest.raises(ValueError, match="duration"):
            durations.seconds(value)


class TestText:
    @given(st.integers(min_value=1, max_value=10**8))
    def test_is_read_back(self, seconds):
        assert durations.parse(durations.text(seconds).replace(" ", "")) == seconds
