"""What passes a file transfer is either told as a fact or recorded as it came."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from sessions.gateways.ssh import sftp_tap, streams
from sessions.gateways.ssh.asking import Asked
from sessions.gateways.ssh.notes import Notes
from sessions.gateways.ssh.old_scp import OldScp
from sessions.gateways.ssh.scp_tap import ScpTap
from sessions.gateways.ssh.sftp_tap import SftpTap
from sessions.gateways.ssh.standard_input import StandardInput
from sessions.gateways.ssh.streams import Stream, Window


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class FakeTape:
    """Keeps facts and output."""

    def __init__(self) -> None:
        self.facts: list[dict[str, Any]] = []
        self.shown = b""
        self.fed = StandardInput(self, keep=1000)
        self.notes = Notes(self, self.fed)

    def mark(self, fact: Any) -> None:
        self.facts.append(dict(fact))

    def output(self, data: bytes, *, errors: bool = False) -> None:
        assert not errors
        self.shown += data

    def files(self) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in fact.items() if name != "kind"}
            for fact in self.facts
            if fact["kind"] == "file"
        ]

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [fact for fact in self.facts if fact["kind"] == kind]


@pytest.fixture
def tape() -> FakeTape:
    return FakeTape()


class TestOldScp:
    @pytest.mark.parametrize(
        ("command", "sends", "path"),
        [
            ("scp -t x", True, "x"),
            ("scp -f /etc/hosts", False, "/etc/hosts"),
            ("scp -v -r -p -d -t jc/", True, "jc/"),
            ("scp -qt x", True, "x"),
            ("scp -pf 'a b'", False, "a b"),
            ('scp -f "a b"', False, "a b"),
            ("scp -f -p -r x", False, "x"),
            ("scp -f *.log", False, "*.log"),
            ("scp -t -- -x", True, "-x"),
            ("scp -t ~/Grüße", True, "~/Grüße"),
        ],
    )
    def test_is_the_form_that_scp_sends(self, command: str, sends: bool, path: str) -> None:
        found = OldScp.of(command)
        assert found is not None
        assert (found.person_sends, found.path) == (sends, path)

    @pytest.mark.parametrize(
        "command",
        [
            "scp",
            "scp -t",
            "scp -p x",
            "scp -t -f x",
            "scp -tf x",
            "scp -t x y",
            "scp  -t x",
            "scp -t x ",
            "scp -t -x",
            "scp -f x; id",
            "scp -f x\nid",
            "scp -f x&id",
            "scp -f x|sh",
            "scp -f $(id)",
            "scp -f `id`",
            "scp -f x>y",
            "scp -f x #",
            "scp -f x\\ y",
            "scp -f 'x'\"$(id)\"",
            "scp -f '\nid'",
            'scp -f "$(id)"',
            "scp -f x\tid",
            "scp -f x\N{NO-BREAK SPACE}id",
            "/tmp/scp -f x",
            "./scp -f x",
            "scp -S/bin/sh -f x",
            "A=1 scp -f x",
            "env scp -f x",
        ],
    )
    def test_is_nothing_else(self, command: str) -> None:
        assert OldScp.of(command) is None

    def test_is_not_what_has_a_terminal(self) -> None:
        asked = Asked(kind="exec", command="scp -f x")
        assert asked.old_scp is not None
        asked.terminal("xterm", (80, 24, 0, 0), {})
        assert asked.old_scp is None

    @pytest.mark.parametrize(
        ("command", "names", "places"),
        [
            ("scp -t jc/renamed", ["f1"], {"path": "jc/renamed", "or_path": "jc/renamed/f1"}),
            ("scp -t jc/", ["f1"], {"path": "jc/f1"}),
            ("scp -d -t jc", ["f1"], {"path": "jc/f1"}),
            ("scp -t .", ["f1"], {"path": "f1"}),
            ("scp -r -t /x", ["d", "f"], {"path": "/x/f", "or_path": "/x/d/f"}),
            ("scp -f jc/x", ["x"], {"path": "jc/x"}),
            ("scp -r -f /a/d", ["d", "e", "f"], {"path": "/a/d/e/f"}),
            ("scp -r -f .", [".", "f"], {"path": "f"}),
            ("scp -f /log/*.gz", ["a.gz"], {"path": "/log/a.gz"}),
            ("scp -f /log/*/a", ["a"], {"path": "a", "of": "/log/*/a"}),
        ],
    )
    def test_says_where_a_file_is(
        self, command: str, names: list[str], places: dict[str, str]
    ) -> None:
        found = OldScp.of(command)
        assert found is not None
        assert found.places(names) == places


def scp(tape: FakeTape, command: str) -> ScpTap:
    asked = OldScp.of(command)
    assert asked is not None
    return ScpTap(tape.notes, asked)


class TestScpTap:
    def test_hears_an_upload(self, tape: FakeTape) -> None:
        tap = scp(tape, "scp -t jc/")
        tap.from_host(b"\0")
        for said in (b"T1 0 1 0\n", b"C0644 5 f1\n", b"hello\0"):
            tap.from_person(said)
            tap.from_host(b"\0")
        tap.finish()
        assert tape.files() == [
            {"op": "upload", "path": "jc/f1", "bytes": 5, "sha256": sha256(b"hello")}
        ]
        assert (tape.shown, tape.said("stdin")) == (b"", [])

    def test_hears_a_download_byte_by_byte(self, tape: FakeTape) -> None:
        tap = scp(tape, "scp -r -f d")
        sent = [b"", b"D0755 0 d\n", b"C0644 2 f\n", b"hi\0", b"C0600 0 empty\n", b"\0", b"E\n"]
        for said in sent:
            for byte in said:
                tap.from_host(bytes([byte]))
            tap.from_person(b"\0")
        tap.finish()
        assert [(file["path"], file["bytes"]) for file in tape.files()] == [
            ("d/f", 2), ("d/empty", 0),
        ]  # fmt: skip
        assert tape.shown == b""

    def test_a_file_after_a_refused_one_is_not_taken_for_its_bytes(self, tape: FakeTape) -> None:
        tap = scp(tape, "scp -d -t jc")
        tap.from_host(b"\0")
        tap.from_person(b"C0644 1000000 no\n")
        tap.from_host(b"\1scp: jc/no: Permission denied\n")
        tap.from_person(b"C0644 2 yes\n")
        tap.from_host(b"\0")
        tap.from_person(b"ok\0")
        tap.from_host(b"\0")
        tap.finish()
        refused, taken = tape.files()
        assert (refused["path"], refused["error"]) == ("jc/no", "scp: jc/no: Permission denied")
        assert (taken["path"], taken["sha256"]) == ("jc/yes", sha256(b"ok"))
        assert b"Permission denied" in tape.shown

    def test_hears_right_what_did_not_wait_for_its_answer(self, tape: FakeTape) -> None:
        tap = scp(tape, "scp -d -t jc")
        tap.from_person(b"C0644 5 a\nC0644 2 b\nok\0")
        tap.from_host(b"\0\1no\n\0\0")
        tap.finish()
        assert [file["path"] for file in tape.files()] == ["jc/a", "jc/b"]

    def test_messages_of_the_host_are_output(self, tape: FakeTape) -> None:
        tap = scp(tape, "scp -f nowhere")
        tap.from_person(b"\0")
        tap.from_host(b"\1scp: nowhere: No such file or directory\n")
        tap.finish()
        assert tape.shown == b"scp: nowhere: No such file or directory\n"

    @pytest.mark.parametrize(
        "said",
        [b"uid=0(root)\n", b"C0644 x y\n", b"C0644 5\n", b"Dear reader\n", b"\x03", b"C" * 5000],
    )
    def test_what_is_no_protocol_is_output_to_its_end(self, tape: FakeTape, said: bytes) -> None:
        tap = scp(tape, "scp -f x")
        tap.from_person(b"\0")
        tap.from_host(said)
        tap.from_host(b"C0644 3 z\nabc\0")
        tap.from_person(b"\0typed")
        tap.finish()
        tape.fed.finish()
        assert tape.shown == said + b"C0644 3 z\nabc\0"
        assert tape.said("stdin")[-1]["bytes"] == len(b"\0typed")
        assert tape.files() == []

    def test_what_is_cut_off_is_kept_and_said(self, tape: FakeTape) -> None:
        tap = scp(tape, "scp -f x")
        tap.from_person(b"\0\0")
        tap.from_host(b"C0644 10 x\nhel")
        tap.finish()
        assert tape.files() == [{"op": "download", "path": "x", "bytes": 3, "incomplete": True}]
        half = FakeTape()
        tap = scp(half, "scp -f x")
        tap.from_person(b"\0")
        tap.from_host(b"C0644 hidden")
        tap.finish()
        assert half.shown == b"C0644 hidden"


def u32(number: int) -> bytes:
    return number.to_bytes(4)


def string(text: bytes) -> bytes:
    return u32(len(text)) + text


def packet(kind: int, number: int, *rest: bytes) -> bytes:
    body = bytes([kind]) + u32(number) + b"".join(rest)
    return u32(len(body)) + body


OK = u32(0) + string(b"") + string(b"")
READS, WRITES, TRUNCATES = u32(1), u32(0x1A), 0x10


class Sftp:
    """A client and a server that speak to a tap."""

    def __init__(self, tape: FakeTape) -> None:
        self.tap = SftpTap(tape.notes)
        self.number = 0
        self.tap.from_person(u32(5) + b"\x01" + u32(3))
        self.tap.from_host(u32(5) + b"\x02" + u32(3))

    def ask(self, kind: int, *rest: bytes) -> int:
        self.number += 1
        self.tap.from_person(packet(kind, self.number, *rest))
        return self.number

    def answer(self, kind: int, number: int, *rest: bytes) -> None:
        self.tap.from_host(packet(kind, number, *rest))

    def do(self, kind: int, *rest: bytes, status: bytes = OK) -> None:
        self.answer(sftp_tap.STATUS, self.ask(kind, *rest), status)

    def open(self, path: bytes, handle: bytes, flags: bytes = READS) -> None:
        number = self.ask(sftp_tap.OPEN, string(path), flags, u32(0))
        self.answer(sftp_tap.HANDLE, number, string(handle))

    def write(self, handle: bytes, offset: int, body: bytes, status: bytes = OK) -> None:
        self.do(sftp_tap.WRITE, string(handle), offset.to_bytes(8), string(body), status=status)

    def close(self, handle: bytes) -> None:
        self.do(sftp_tap.CLOSE, string(handle))


class TestSftpTap:
    def test_pieces_out_of_order_have_size_and_digest(self, tape: FakeTape) -> None:
        body = random.Random(7).randbytes(64 * 32768)
        places = [range(0, len(body), 32768)[n] for n in range(64)]
        random.Random(8).shuffle(places)
        sftp = Sftp(tape)
        sftp.open(b"/x", b"h", WRITES)
        for place in places:
            sftp.write(b"h", place, body[place : place + 32768])
        sftp.close(b"h")
        assert tape.files() == [
            {"op": "upload", "path": "/x", "bytes": len(body), "sha256": sha256(body)}
        ]

    @pytest.mark.parametrize(
        "writes",
        [[(0, b"ab"), (3, b"d")], [(0, b"ab"), (1, b"x")], [(2, b"c"), (2, b"d"), (0, b"ab")]],
        ids=["a hole", "once more", "twice waiting"],
    )
    def test_what_is_not_whole_has_no_digest(
        self, tape: FakeTape, writes: list[tuple[int, bytes]]
    ) -> None:
        sftp = Sftp(tape)
        sftp.open(b"/x", b"h", WRITES)
        for offset, body in writes:
            sftp.write(b"h", offset, body)
        sftp.close(b"h")
        (file,) = tape.files()
        assert file["bytes"] == sum(len(body) for _, body in writes)
        assert "sha256" not in file

    def test_a_write_that_failed_counts_for_nothing(self, tape: FakeTape) -> None:
        sftp = Sftp(tape)
        sftp.open(b"/x", b"h", WRITES)
        sftp.write(b"h", 0, b"ab")
        sftp.write(b"h", 2, b"cd", status=u32(4) + string(b"disk full") + string(b""))
        sftp.close(b"h")
        assert tape.files() == [{"op": "upload", "path": "/x", "bytes": 2}]

    @pytest.mark.parametrize("length", [0, 100_000])
    def test_a_copy_on_the_host_names_both_paths_and_bytes(
        self, tape: FakeTape, length: int
    ) -> None:
        sftp = Sftp(tape)
        attributes = u32(1) + (100_000).to_bytes(8)
        sftp.answer(sftp_tap.ATTRS, sftp.ask(sftp_tap.STAT, string(b"/a")), attributes)
        sftp.open(b"/a", b"1")
        sftp.open(b"/b", b"2", WRITES)
        sftp.do(
            sftp_tap.EXTENDED, string(b"copy-data"), string(b"1"), bytes(8),
            length.to_bytes(8), string(b"2"), bytes(8),
        )  # fmt: skip
        sftp.close(b"1")
        sftp.close(b"2")
        assert tape.files() == [{"op": "copy", "path": "/a", "to": "/b", "bytes": 100_000}]

    def test_a_file_only_opened_was_not_downloaded(self, tape: FakeTape) -> None:
        sftp = Sftp(tape)
        sftp.open(b"/x", b"h")
        sftp.close(b"h")
        assert tape.files() == [{"op": "open", "path": "/x"}]

    def test_an_empty_file_read_to_its_end_was(self, tape: FakeTape) -> None:
        sftp = Sftp(tape)
        sftp.open(b"/x", b"h")
        end = u32(1) + string(b"") + string(b"")
        sftp.do(sftp_tap.READ, string(b"h"), bytes(8), u32(100), status=end)
        sftp.close(b"h")
        assert tape.files() == [{"op": "download", "path": "/x", "bytes": 0, "sha256": sha256(b"")}]

    def test_what_is_read_after_the_close_was_asked_for_counts(self, tape: FakeTape) -> None:
        sftp = Sftp(tape)
        sftp.open(b"/x", b"h")
        read = sftp.ask(sftp_tap.READ, string(b"h"), bytes(8), u32(100))
        closed = sftp.ask(sftp_tap.CLOSE, string(b"h"))
        sftp.answer(sftp_tap.DATA, read, string(b"secret"))
        sftp.answer(sftp_tap.STATUS, closed, OK)
        assert tape.files() == [
            {"op": "download", "path": "/x", "bytes": 6, "sha256": sha256(b"secret")}
        ]

    def test_two_files_opened_under_one_number_keep_their_names(self, tape: FakeTape) -> None:
        sftp = Sftp(tape)
        for path in (b"/etc/shadow", b"/tmp/harmless"):
            sftp.tap.from_person(packet(sftp_tap.OPEN, 9, string(path), READS, u32(0)))
        sftp.answer(sftp_tap.HANDLE, 9, string(b"1"))
        sftp.answer(sftp_tap.HANDLE, 9, string(b"2"))
        for handle in (b"1", b"2"):
            read = sftp.ask(sftp_tap.READ, string(handle), bytes(8), u32(100))
            sftp.answer(sftp_tap.DATA, read, string(b"x" + handle))
            sftp.close(handle)
        assert [(file["path"], file["sha256"]) for file in tape.files()] == [
            ("/etc/shadow", sha256(b"x1")),
            ("/tmp/harmless", sha256(b"x2")),
        ]

    def test_a_guessed_handle_belongs_to_the_file_that_gets_it(self, tape: FakeTape) -> None:
        sftp = Sftp(tape)
        sftp.open(b"/old", b"0")
        closed = sftp.ask(sftp_tap.CLOSE, string(b"0"))
        opened = sftp.ask(sftp_tap.OPEN, string(b"/new"), WRITES, u32(0))
        written = sftp.ask(sftp_tap.WRITE, string(b"0"), bytes(8), string(b"data"))
        sftp.answer(sftp_tap.STATUS, closed, OK)
        sftp.answer(sftp_tap.HANDLE, opened, string(b"0"))
        sftp.answer(sftp_tap.STATUS, written, OK)
        sftp.close(b"0")
        assert tape.files()[1:] == [
            {"op": "upload", "path": "/new", "bytes": 4, "sha256": sha256(b"data")}
        ]

    def test_what_nobody_asked_for_is_output(self, tape: FakeTape) -> None:
        sftp = Sftp(tape)
        sftp.answer(sftp_tap.DATA, 77, string(b"hidden"))
        assert b"hidden" in tape.shown

    def test_an_unknown_request_is_on_record(self, tape: FakeTape) -> None:
        sftp = Sftp(tape)
        sftp.do(77, string(b"x"))
        assert tape.files() == [{"op": "unknown", "path": "(request 77)"}]

    def test_what_is_no_packet_is_recorded_both_ways(self, tape: FakeTape) -> None:
        sftp = Sftp(tape)
        sftp.tap.from_person(b"echo HIDDEN | sh\n")
        sftp.tap.from_host(b"HIDDEN in the answer\n")
        sftp.tap.from_host(b"and more")
        sftp.tap.finish()
        tape.fed.finish()
        assert tape.shown == b"HIDDEN in the answer\nand more"
        assert [fact.get("text") for fact in tape.said("stdin")] == ["echo HIDDEN | sh\n", None]

    def test_half_a_packet_at_the_end_is_recorded(self, tape: FakeTape) -> None:
        sftp = Sftp(tape)
        sftp.tap.from_host(b"\0\0\0\x20half")
        sftp.tap.finish()
        assert tape.shown == b"\0\0\0\x20half"


class TestStream:
    def test_shares_its_window_with_the_others(self) -> None:
        window = Window(10)
        one, two = Stream(window), Stream(window)
        one.take(5, memoryview(b"x" * 8))
        two.take(5, memoryview(b"y" * 8))
        assert (one.whole, two.whole) == (True, False)
        one.take(0, memoryview(b"abcde"))
        assert one.told() == {"bytes": 13, "sha256": sha256(b"abcde" + b"x" * 8)}
        assert window.left == 10

    def test_lets_go_of_its_window_when_it_gives_up(self) -> None:
        window = Window(10)
        stream = Stream(window)
        stream.take(5, memoryview(b"x" * 8))
        assert stream.told() == {"bytes": 8}
        assert window.left == 10
        assert streams.WINDOW >= 64 * 32768


class TestStandardInput:
    def test_of_binary_is_counted_alone(self, tape: FakeTape) -> None:
        tape.fed.take(b"\xff\xfe\0")
        tape.fed.finish()
        (fact,) = tape.facts
        assert (fact["bytes"], fact["binary"]) == (3, True)

    def test_says_how_much_of_its_text_is_kept(self, tape: FakeTape) -> None:
        tape.fed.take(b"x" * 1500)
        tape.fed.finish()
        tape.fed.finish()
        text, counted = tape.facts
        assert (len(text["text"]), counted["bytes"], counted["kept"]) == (1000, 1500, 1000)
        assert counted["sha256"] == sha256(b"x" * 1500)
