"""Every template is drawn by somebody."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
NAMED = re.compile(r"""["']([\w./-]+\.(?:html|txt))["']""")
BY_DJANGO = {"base.html"}
FAMILIES = {"jit/requests/_": "jit/web/views/requests.py"}
"""What a view names by a pattern, and where: `f"jit/requests/_{name}.html"`."""


def test_every_template_is_included_extended_or_rendered_somewhere() -> None:
    """The bell counted what waits for nobody: no page included it."""
    sources = [
        *TEMPLATES.rglob("*.html"),
        *(path for app in ("jit", "approvals", "sessions") for path in (ROOT / app).rglob("*.py")),
    ]
    views = {"components/_bell.html"}  # Its own view, by which it only reads itself again.
    named: set[str] = set()
    for source in sources:
        found = set(NAMED.findall(source.read_text(encoding="utf-8")))
        named |= found - views if source.suffix == ".py" else found
    for start, view in FAMILIES.items():
        assert f'f"{start}{{name}}.html"' in (ROOT / view).read_text(encoding="utf-8")
    every = {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*") if path.is_file()}
    unused = {name for name in every - named - BY_DJANGO if not name.startswith(tuple(FAMILIES))}
    assert not unused, f"drawn by nobody: {sorted(unused)}"


def test_the_tours_labels_are_those_on_the_pages() -> None:
    """README told to press what no page has: *Request access*, *Copy credential*."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tour = readme.partition("## The tour")[2].partition("\n## ")[0]
    labels = set(re.findall(r"(?<!\*)\*([A-Z][A-Za-z -]+)\*(?!\*)", tour))
    assert len(labels) > 5
    pages = " ".join(path.read_text(encoding="utf-8") for path in TEMPLATES.rglob("*.html"))
    pages += (ROOT / "jit/web/context.py").read_text(encoding="utf-8")
    missing = {label for label in labels if not re.search(rf"{label}[<\"{{]", pages)}
    assert not missing, f"on no page: {sorted(missing)}"
