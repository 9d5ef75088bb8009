"""An auditor with one file and no database sees what was altered, dropped, moved or added."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jit.audit import verifier
from jit.audit.verifier import Key, NotReadable
from tests.jit.audit import archives
from tests.jit.audit.archives import SIGNER, bad, changed, flip, without


@pytest.fixture
def export(tmp_path) -> Callable[..., Path]:
    def make(since: int = 0) -> Path:
        path: Path = tmp_path / f"export-{since}.zip"
        path.write_bytes(archives.archive(since=since))
        return path

    return make


def cut_to_eight(**more: Callable[[bytes], bytes]) -> dict[str, Callable[[bytes], bytes]]:
    """Return changes that shorten events, leaves and checkpoints alike."""
    return {
        "events": lambda content: b"\n".join(content.split(b"\n")[:8]) + b"\n",
        "leaves": lambda found: found[: 8 * 32],
        "checkpoints": lambda content: b"".join(content.splitlines(keepends=True)[:2]),
        **more,
    }


def reseal(content: bytes) -> bytes:
    """Return the leaves that fit altered events, as a forger without the key can make them."""
    return b"".join(verifier.leaf_hash(line) for line in content.split(b"\n")[:-1])


class TestAnExport:
    def test_is_valid_as_it_was_written(self, export):
        report = verifier.verify(export(), keys=[SIGNER.key])
        assert (report.events, report.checkpoint.size) == (12, 12)
        assert report.keys_were_given

    def test_names_the_first_event_with_a_flipped_byte(self, export):
        path = changed(export(), events=lambda content: flip(9)(flip(6)(content)))
        index, sentence = bad(path)
        assert index == 6
        assert "event 6 was altered" in sentence
        assert "user.signed-in" in sentence

    def test_finds_each_single_flipped_bit_of_an_event(self, export):
        path = export()
        with zipfile.ZipFile(path) as archive:
            body = archive.read("events.jsonl")
        start = body.index(b"\n") + 1
        end = body.index(b"\n", start)
        for at in range(start, end, 7):
            altered = bytearray(body)
            altered[at] ^= 0x01
            if altered[at] == 0x0A:
                continue
            index, _ = bad(changed(path, events=lambda _, altered=altered: bytes(altered)))
            assert index == 1

    def test_names_the_range_of_an_event_changed_with_its_leaf(self, export):
        path = changed(export(), events=flip(6))
        with zipfile.ZipFile(path) as archive:
            leaves = reseal(archive.read("events.jsonl"))
        path = changed(path.rename(path.with_name("once.zip")), leaves=lambda _: leaves)
        _, sentence = bad(path)
        assert "events 4 to 7 are not those of the signed checkpoint of 8" in sentence

    @pytest.mark.parametrize("index", [0, 5, 11])
    def test_names_a_dropped_event(self, export, index: int):
        named, sentence = bad(changed(export(), events=without(index)))
        assert (named, "missing" in sentence) == (index, True)

    def test_names_an_event_that_was_dropped_with_its_leaf(self, export):
        path = changed(
            export(), events=without(5), leaves=lambda found: found[: 5 * 32] + found[6 * 32 :]
        )
        _, sentence = bad(path)
        assert "events 4 to 7 are not" in sentence

    def test_names_events_that_changed_places(self, export):
        def swap(content: bytes) -> bytes:
            found = content.split(b"\n")
            found[3], found[7] = found[7], found[3]
            return b"\n".join(found)

        index, sentence = bad(changed(export(), events=swap))
        assert (index, "out of order (event 7" in sentence) == (3, True)

    def test_names_an_event_that_was_put_in(self, export):
        def put_in(content: bytes) -> bytes:
            found = content.split(b"\n")
            return b"\n".join([*found[:5], b'{"made":"up"}', *found[5:]])

        index, sentence = bad(changed(export(), events=put_in))
        assert (index, "was altered, or put in" in sentence) == (5, True)

    def test_names_an_event_added_at_the_end(self, export):
        index, sentence = bad(changed(export(), events=lambda old: old + b'{"made":"up"}\n'))
        assert (index, "was added" in sentence) == (12, True)

    def test_is_not_valid_when_cut_off(self, export):
        index, _ = bad(changed(export(), events=lambda content: content[: len(content) // 2]))
        assert index is not None
        assert index < 12

    def test_is_not_valid_when_cut_off_with_everything_around_it(self, export):
        """Events, leaves and checkpoints shortened alike: the manifest's size is not signed."""
        path = changed(export(), **cut_to_eight())
        _, sentence = bad(path)
        assert "size 12) is missing" in sentence

    def test_shortened_wholly_is_found_by_a_kept_checkpoint(self, export):
        shorter = cut_to_eight(
            manifest=lambda content: content.replace(b'"size": 12', b'"size": 8')
        )
        path = changed(export(), **shorter)
        assert verifier.verify(path).events == 8  # in itself it is whole: an older export
        with pytest.raises(NotReadable, match="the kept checkpoint is of 12"):
            verifier.verify(path, kept=archives.note(12))

    @pytest.mark.parametrize("kept_size", [4, 8, 12])
    def test_agrees_with_a_checkpoint_kept_from_an_earlier_visit(self, export, kept_size: int):
        assert verifier.verify(export(), kept=archives.note(kept_size)).events == 12

    def test_since_the_last_one_is_tied_to_it(self, export):
        path = export(since=4)
        assert verifier.verify(path, kept=archives.note(4)).events == 8
        index, _ = bad(changed(path, events=flip(2)))
        assert index == 6

    @pytest.mark.parametrize("member", ["frontier", "consistency", "leaves"])
    def test_since_the_last_one_needs_all_its_parts_right(self, export, member: str):
        def spoil(content: bytes) -> bytes:
            if member != "consistency":
                return bytes([content[0] ^ 1]) + content[1:]
            told = json.loads(content)
            told["proof"] = told["proof"][::-1]
            return json.dumps(told).encode()

        bad(changed(export(since=4), **{member: spoil}))

    def test_signed_by_another_key_is_refused(self, export):
        other = Key("jit.local/audit", bytes(32))
        assert "not signed by a known key" in bad(export(), keys=[other])[1]

    def test_with_an_altered_checkpoint_is_refused(self, export):
        path = changed(
            export(), checkpoints=lambda old: old.replace(b"audit\\n8\\n", b"audit\\n9\\n")
        )
        assert "signature of the checkpoint of 9 is wrong" in bad(path)[1]


class TestAFileOfAnotherKind:
    @pytest.mark.parametrize(
        "content", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"PK\x03\x04 cut", b'{"format":"x"}']
    )
    def test_is_not_readable(self, tmp_path, content: bytes):
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(NotReadable):
            verifier.verify(path)

    def test_that_is_not_there_is_not_readable(self, tmp_path):
        with pytest.raises(NotReadable):
            verifier.verify(tmp_path / "nothing")

    @pytest.mark.parametrize("member", ["manifest", "keys", "checkpoints", "events"])
    def test_without_one_of_its_members_is_not_readable(self, export, member: str):
        path = export()
        into = path.with_name("less.zip")
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(into, "w") as new:
            for name in old.namelist():
                if not name.startswith(member):
                    new.writestr(name, old.read(name))
        with pytest.raises(NotReadable):
            verifier.verify(into)

    @pytest.mark.parametrize("vkey", ["", "a+b", "a+00000000+AQ==", "jit+zz+!!"])
    def test_a_key_that_is_none_is_not_readable(self, vkey: str):
        with pytest.raises(NotReadable):
            Key.parse(vkey)

    @pytest.mark.parametrize(
        "note", ["", "a\nb\nc\n\n", "a\n1\n\n\n", "a\n01\nAAAA\n\n— a b\n", "a\n1\n!!\n\n— a b\n"]
    )
    def test_a_note_that_is_none_is_not_readable(self, note: str):
        with pytest.raises(NotReadable):
            verifier.opened(note, [])


class TestEvidence:
    def pack(self, tmp_path: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
        pack = archives.evidence()
        if change:
            change(pack)
        path = tmp_path / "evidence.json"
        path.write_text(json.dumps(pack), encoding="utf-8")
        return path

    def test_is_verified_by_the_same_program(self, tmp_path):
        path = self.pack(tmp_path, lambda pack: pack.update(grant={"added": "by the domain"}))
        report = verifier.verify(path, keys=[SIGNER.key])
        assert (report.events, report.about) == (8, "evidence of one request")

    def test_names_an_altered_event(self, tmp_path):
        def alter(pack: dict[str, Any]) -> None:
            entry = pack["events"][5]
            entry["event"] = entry["event"].replace("rita", "otto")

        assert bad(self.pack(tmp_path, alter))[0] == 7

    def test_refuses_a_proof_of_another_event(self, tmp_path):
        def swap(pack: dict[str, Any]) -> None:
            first, second = pack["events"][1:3]  # of events 3 and 4
            first["proof"], second["proof"] = second["proof"], first["proof"]

        assert bad(self.pack(tmp_path, swap))[0] == 3

    def test_refuses_events_out_of_order(self, tmp_path):
        assert bad(self.pack(tmp_path, lambda pack: pack["events"].reverse()))[0] == 8


class TestTheProgram:
    def run(self, *arguments: object) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONIOENCODING": "utf-8"},
        )
        assert done.stderr == ""
        return done.returncode, done.stdout

    @pytest.fixture
    def program(self, tmp_path) -> Path:
        alone = tmp_path / "elsewhere" / "verifier.py"
        alone.parent.mkdir()
        shutil.copy(Path(verifier.__file__), alone)
        return alone

    def test_works_when_copied_away_alone(self, program, export):
        status, said = self.run(program, export(), "--key", SIGNER.key)
        assert (status, said.splitlines()[0]) == (0, "valid: 12 events (events 0 to 12)")
        assert "came with the file" not in said

    def test_asks_to_compare_a_key_that_came_with_the_file(self, program, export):
        assert "compare it" in self.run(program, export())[1]

    def test_names_the_first_bad_event(self, program, export):
        status, said = self.run(program, changed(export(), events=flip(6)))
        assert status == 1
        assert said.startswith("NOT VALID: event 6 was altered")

    def test_says_what_it_cannot_read(self, program, tmp_path):
        assert self.run(program, tmp_path / "nothing")[0] == 2
        assert self.run(program, program, "--key", "x")[0] == 2

    def test_takes_a_kept_checkpoint(self, program, export, tmp_path):
        kept = tmp_path / "kept.txt"
        kept.write_text(archives.note(8), encoding="utf-8")
        assert self.run(program, export(), "--kept", kept)[0] == 0
