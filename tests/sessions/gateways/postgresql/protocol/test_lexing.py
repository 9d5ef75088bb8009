"""Where one statement ends and the next begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.gateways.postgresql.protocol import lexing


class TestSplit:
    @pytest.mark.parametrize(
        ("text", "statements"),
        [
            ("", []),
            (" ;; ; ", []),
            ("SELECT 1", ["SELECT 1"]),
            ("SELECT 1;", ["SELECT 1"]),
            ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
            ("SELECT ';'; SELECT 'it''s;'", ["SELECT ';'", "SELECT 'it''s;'"]),
            ("SELECT E'\\';'; SELECT 2", ["SELECT E'\\';'", "SELECT 2"]),
            ("SELECT '\\'; SELECT 2", ["SELECT '\\'", "SELECT 2"]),
            ('SELECT ";"; SELECT 2', ['SELECT ";"', "SELECT 2"]),
            ("SELECT $$;$$; SELECT $a$ ; $$ ; $a$", ["SELECT $$;$$", "SELECT $a$ ; $$ ; $a$"]),
            ("SELECT a$b; SELECT c$d", ["SELECT a$b", "SELECT c$d"]),
            ("SELECT 1 -- ; no\n; SELECT 2", ["SELECT 1 -- ; no", "SELECT 2"]),
            ("SELECT 1 /* ; /* ; */ ; */; SELECT 2", ["SELECT 1 /* ; /* ; */ ; */", "SELECT 2"]),
            ("-- nothing\n; /* nothing */; SELECT 1", ["SELECT 1"]),
            (
                "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b); SELECT 1",
                ["CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)", "SELECT 1"],
            ),
            (
                (
                    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END;"
                    " SELECT 2; END; SELECT 3"
                ),
                [
                    (
                        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 "
                        "END; SELECT 2; END"
                    ),
                    "SELECT 3",
                ],
            ),
        ],
    )
    def test_follows_the_servers_lexis(self, text: str, statements: list[str]) -> None:
        assert lexing.split(text) == statements

    @given(st.text(alphabet="ab;'\"$/*-\\E \n()", max_size=60))
    def test_loses_nothing_but_blanks_comments_and_semicolons(self, text: str) -> None:
        joined = "".join(lexing.split(text))
        assert len(joined) <= len(text)
        assert all(part in text for part in lexing.split(text))
