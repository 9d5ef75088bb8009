from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jit.policy.index import Selector, bits

NAMES = ("role.team", "role.env", "role.kind", "role.tags.tier")
VALUES = ("a", "b", "c")
MATCH = st.dictionaries(
    st.sampled_from(NAMES), st.frozensets(st.sampled_from(VALUES), min_size=1), max_size=4
)
ROLE = st.fixed_dictionaries(
    {name: st.sampled_from((*VALUES, "z")) for name in NAMES[:3]}
    | {"role.tags": st.dictionaries(st.just("tier"), st.sampled_from(VALUES))}
)


def fits(match, role):
    read = {**role, "role.tags.tier": role["role.tags"].get("tier")}
    return all(read[name] in wanted for name, wanted in match.items())


class TestSelect:
    @given(st.lists(MATCH, max_size=12), ROLE)
    def test_finds_what_asking_one_by_one_finds(self, matches, role):
        expected = [n for n, match in enumerate(matches) if fits(match, role)]
        assert list(bits(Selector(matches).select(role))) == expected
