from __future__ import annotations

import pytest

from jit.policy import documents
from jit.policy.documents import Place, Unreadable


class TestRead:
    def test_keeps_words_and_times_as_texts(self):
        content = documents.read("{a: no, b: 12:30, c: 2026-01-05, d: 0x10, e: 1_000}").content
        assert content == {"a": "no", "b": "12:30", "c": "2026-01-05", "d": "0x10", "e": "1_000"}

    def test_reads_numbers_truths_and_nothing(self):
        content = documents.read("{a: 10, b: true, c: false, d: null, e: ~, f: '10'}").content
        assert content == {"a": 10, "b": True, "c": False, "d": None, "e": None, "f": "10"}

    def test_refuses_a_key_given_twice(self):
        with pytest.raises(Unreadable, match=r"'who' is given twice in rules\.0") as raised:
            documents.read("rules:\n  - who: 'false'\n    who: 'true'\n")
        assert raised.value.place == Place(3, 5)

    @pytest.mark.parametrize(
        "text", ["a: &x [1]\nb: *x", "a: &x {b: 1}\nc:\n  <<: *x", "? [a]\n: b"]
    )
    def test_refuses_aliases_merges_and_keys_that_are_no_text(self, text):
        with pytest.raises(Unreadable):
            documents.read(text)

    def test_does_not_blow_up_on_a_billion_laughs(self):
        bomb = "a0: &a0 [x]\n" + "".join(
            f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
        )
        with pytest.raises(Unreadable, match="aliases"):
            documents.read(bomb)

    @pytest.mark.parametrize(
        "text", ["a: [", "a: b: c", "\tx: 1", "a: 'b", "--- 1\n--- 2", "a: \0"]
    )
    def test_says_where_the_yaml_is_broken(self, text):
        with pytest.raises(Unreadable) as raised:
            documents.read(text)
        assert raised.value.place.line >= 1

    def test_runs_no_tag(self):
        content = documents.read("a: !!python/object/apply:os.system ['true']").content
        assert content == {"a": ["true"]}

    def test_remembers_where_a_text_begins(self):
        read = documents.read("a:\n  - plain\n  - 'quoted'\n  - |\n    block\n")
        assert read.place(("a", 0)) == Place(2, 5)
        assert read.place(("a", 1)) == Place(3, 6)
        assert read.place(("a", 2)) == Place(5, 5)
        assert read.place(("a", 9, "z")) == read.place(("a",))
