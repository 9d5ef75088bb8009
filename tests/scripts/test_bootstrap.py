"""The set-up: what it pins, when it works again, and that an old Python can start it."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest

from tests.support.servers import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import assets
import pythons
import stamps

PINNED = sorted((ROOT / "requirements").glob("*.txt"))


LATER = {"read_recording.py", "api_fuzz.py"}
"""For whoever has a recording; for the environment that is there by then."""
# What runs before anything is installed.
AT_START = sorted(file for file in (ROOT / "scripts").glob("*.py") if file.name not in LATER)


class TestScripts:
    @pytest.mark.parametrize("file", AT_START, ids=lambda f: f.name)
    def test_are_python_3_8(self, file):
        tree = ast.parse(file.read_text(), feature_version=(3, 8))
        imported = {
            name.split(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        ours = {each.stem for each in (ROOT / "scripts").glob("*.py")}
        assert imported <= set(sys.stdlib_module_names) | ours


class TestRequirements:
    @pytest.mark.parametrize("file", PINNED, ids=lambda f: f.name)
    def test_pin_and_hash_everything_and_name_no_index(self, file):
        text = file.read_text()
        assert "://" not in text
        assert not re.search(r"^(--index|--extra-index|-i |--find-links)", text, re.MULTILINE)
        entries = re.split(r"\n(?=\S)", text.strip())
        assert all(re.match(r"[\w.\-\[\],]+==\S+", entry) for entry in entries)
        assert all("--hash=sha256:" in entry for entry in entries)

    def test_agree_with_each_other(self):
        versions: dict[str, set[str]] = {}
        for file in PINNED:
            for name, version in re.findall(r"^([\w.\-]+)==(\S+)", file.read_text(), re.MULTILINE):
                versions.setdefault(name, set()).add(version)
        assert {name: seen for name, seen in versions.items() if len(seen) > 1} == {}

    def test_give_a_reason_for_every_dependency(self):
        for file in (ROOT / "requirements").glob("*.in"):
            lines = [line for line in file.read_text().splitlines() if line.strip()]
            assert all("#" in line for line in lines), file.name


class TestPackageLock:
    def test_holds_exact_versions_and_no_address(self):
        asked = json.loads((ROOT / "package.json").read_text())
        wanted = {**asked["dependencies"], **asked["devDependencies"]}
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
        locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
        for name, version in wanted.items():
            assert locked[f"node_modules/{name}"]["version"] == version
        assert not [name for name, entry in locked.items() if "resolved" in entry]
        assert all("integrity" in entry for name, entry in locked.items() if name)


class TestStamp:
    def test_is_current_until_a_file_changes(self, tmp_path):
        asked = tmp_path / "asked.txt"
        asked.write_text("one")
        stamp = stamps.Stamp(str(tmp_path), "x", [str(asked)])
        assert not stamp.is_current()
        stamp.set()
        assert stamp.is_current()
        asked.write_text("two")
        assert not stamp.is_current()


class TestVersionOf:
    def test_is_that_of_a_new_enough_python(self):
        assert pythons.version_of(sys.executable) == sys.version_info[:2]

    def test_is_none_for_an_old_one(self, monkeypatch):
        monkeypatch.setattr(pythons, "OLDEST", (99, 0))
        assert pythons.version_of(sys.executable) is None

    def test_is_none_for_a_shim_that_stands_for_nothing(self, tmp_path):
        shim = tmp_path / "python3.13"
        shim.write_text("#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n")
        shim.chmod(0o755)
        assert pythons.version_of(str(shim)) is None

    def test_is_none_where_there_is_no_file(self, tmp_path):
        assert pythons.version_of(str(tmp_path / "python3")) is None


class TestFind:
    def test_says_what_to_install_if_nothing_is_found_or_fetched(self, monkeypatch):
        monkeypatch.setattr(pythons, "candidates", lambda: iter([None, "/no/python"]))
        monkeypatch.setattr(pythons, "fetch", lambda: None)
        with pytest.raises(pythons.NotFound, match=r"needs Python 3\.12 or newer"):
            pythons.find(lambda _line: None)


class TestAssets:
    def test_lose_the_mention_of_a_map_that_is_not_copied(self):
        for mention in (b"/*# sourceMappingURL=a.css.map */", b"//# sourceMappingURL=a.map\n"):
            assert assets.SOURCE_MAP.sub(b"\n", b"a()\n" + mention) == b"a()\n"

    def test_are_what_the_templates_name(self):
        named = {
            name
            for file in (ROOT / "templates").rglob("*.html")
            for name in re.findall(r"""static ['"]vendor/([^'"]+)['"]""", file.read_text())
        }
        assert named <= set(assets.FILES.values())

    def test_come_from_packages_that_are_asked_for(self):
        asked = json.loads((ROOT / "package.json").read_text())["dependencies"]
        assert all(
            source.startswith(tuple(f"{name}/" for name in asked)) for source in assets.FILES
        )

    def test_are_kept_out_of_the_history(self):
        assert "jit/web/static/vendor/" in Path(ROOT / ".gitignore").read_text().splitlines()
