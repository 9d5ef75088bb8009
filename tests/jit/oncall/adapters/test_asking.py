from __future__ import annotations

import pytest

from jit.oncall.adapters import asking


class TestMoment:
    @pytest.mark.parametrize("said", ["9999-12-31T23:59:59-16:00", "2026-01-01T00:00:00", "soon"])
    def test_a_time_that_nobody_can_place_is_no_answer(self, said: str) -> None:
        with pytest.raises(ValueError, match="no time with its zone"):
            asking.moment(said)
