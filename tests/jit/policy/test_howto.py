"""The guide tells the truth about what policies may read."""

from __future__ import annotations

from pathlib import Path

from jit.policy.facts import ATTRIBUTES

GUIDE = Path(__file__).parents[3] / "docs" / "howto" / "policy.md"


def test_the_guide_lists_every_attribute_with_its_type():
    text = GUIDE.read_text()
    for name, attribute in ATTRIBUTES.items():
        assert f"| `{name}` | {attribute.kind} | {attribute.meaning} |" in text
