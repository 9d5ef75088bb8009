"""What an event's bytes are, whatever text they are made of."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from jit.audit import events, index_terms
from jit.audit.events import Erasable, Links
from tests.jit.audit.conftest import NOW, RITA, SIGN_IN


def build(body: dict[str, Any], links: Links | None = None) -> events.Event:
    return events.build(
        action="user.signed-in",
        actor=RITA,
        now=NOW,
        subject=SIGN_IN,
        links=links or Links(),
        body=body,
    )


def told(body: dict[str, Any]) -> Any:
    return json.loads(build(body).body)["body"]


class Colour(StrEnum):
    RED = "red"


class TestBuild:
    def test_writes_canonical_json(self):
        body = build({"b": 1, "a": [True, None, 1.5]}).body
        assert b'"body":{"a":[true,null,1.5],"b":1}' in body
        assert body.startswith(b'{"action":"user.signed-in","actor":{"id":"')
        assert b"\n" not in body

    def test_says_who_did_what_when_and_how(self):
        content = json.loads(build({}).body)
        assert content["at"] == "2026-11-23T12:00:00.000000Z"
        assert content["actor"] == {"kind": "user", "id": RITA.id, "name": "rita"}
        assert content["channel"] == "web"
        assert content["subject"] == {"type": "user", "id": RITA.id, "label": "rita"}

    def test_keeps_a_nul_and_replaces_a_lone_surrogate(self):
        assert told({"text": "a\0b\ud800c"}) == {"text": "a\0b\ufffdc"}

    def test_gives_every_plain_type_one_form(self):
        key = uuid.UUID(int=7)
        assert told(
            {
                "at": NOW,
                "day": NOW.date(),
                "for": dt.timedelta(minutes=2),
                "key": key,
                "price": Decimal("1.10"),
                "colour": Colour.RED,
                "set": {"b", "a"},
                "tuple": (1, 2),
            }
        ) == {
            "at": "2026-11-23T12:00:00.000000Z",
            "day": "2026-11-23",
            "for": 120,
            "key": str(key),
            "price": "1.10",
            "colour": "red",
            "set": ["a", "b"],
            "tuple": [1, 2],
        }

    def test_writes_numbers_that_json_readers_differ_on_as_text(self):
        assert told({"big": 2**53, "nan": float("nan"), "inf": float("-inf")}) == {
            "big": "9007199254740992",
            "nan": "nan",
            "inf": "-inf",
        }

    @pytest.mark.parametrize("value", [b"bytes", object(), 1j])
    def test_refuses_what_has_no_json_form_and_says_where(self, value: object):
        with pytest.raises(TypeError, match=r"outer\[0\]"):
            build({"outer": [value]})

    def test_refuses_a_time_without_a_zone(self):
        with pytest.raises(ValueError, match="zone"):
            build({"at": dt.datetime(2026, 1, 1)})  # noqa: DTZ001 -- the point

    @settings(max_examples=40)
    @given(
        body=st.dictionaries(
            st.text(),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=8,
            ),
        )
    )
    def test_survives_every_body_and_can_be_read_again(self, body: dict[str, Any]):
        event = build(body)
        content = json.loads(event.body)
        assert index_terms.columns_of(content) == event.columns
        assert "\0" not in event.words


class TestColumnsOf:
    def test_cuts_text_that_an_index_could_not_hold(self):
        event = build({}, Links(person="x" * 5000))
        assert len(event.columns["person"]) == index_terms.LONGEST_COLUMN
        assert json.loads(event.body)["links"]["person"] == "x" * 5000

    def test_holds_no_nul_which_postgresql_refuses(self):
        assert build({}, Links(person="a\0b")).columns["person"] == "a\ufffdb"


class TestWordsOf:
    def test_splits_paths_and_addresses_into_words(self):
        words = build({"said": "/etc/shadow,rita@example.org"}).words.split()
        assert {"etc", "shadow", "rita", "example", "org"} <= set(words)

    @given(st.text(st.characters(codec="ascii")))
    def test_splits_ascii_as_any_other_text(self, text: str) -> None:
        beyond = index_terms.split_words(text + " \N{LATIN SMALL LETTER E WITH ACUTE}")
        assert index_terms.split_words(text).split() == beyond.split()[:-1]


class TestErasable:
    def test_leaves_a_salted_digest_in_the_body_and_the_value_beside_it(self):
        event = build({"who": {"mail": Erasable("rita@example.org", person="7")}})
        assert b"example.org" not in event.body
        assert "example" not in event.words
        (held,) = event.erasable
        assert (held.person, held.field, held.value) == ("7", "body.who.mail", "rita@example.org")
        assert json.loads(event.body)["body"]["who"]["mail"] == {
            "erasable": str(held.id),
            "digest": events.digest_of("rita@example.org", held.salt),
        }

    def test_gives_the_same_value_another_digest_each_time(self):
        first, second = (build({"mail": Erasable("rita@example.org", person="7")}) for _ in "ab")
        assert json.loads(first.body)["body"] != json.loads(second.body)["body"]


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(1 - 2.0**53, 2.0**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


class TestCanonical:
    @given(PLAIN)
    @settings(max_examples=300)
    def test_is_what_rfc_8785_says(self, plain: Any) -> None:
        assert events.canonical(plain) == rfc8785.dumps(plain)

    @given(PLAIN)
    @settings(max_examples=100)
    def test_is_how_every_event_is_written(self, plain: Any) -> None:
        body = build({"said": plain}).body
        assert body == rfc8785.dumps(json.loads(body))

    @pytest.mark.parametrize(
        "plain",
        ["".join(map(chr, range(0x20))), "\x7f\u2028\u2029/<>&'\"\\", {"b": 1, "a": [1.0, 1e21]}],
    )
    def test_escapes_and_spells_as_rfc_8785_does(self, plain: Any) -> None:
        assert events.canonical(plain) == rfc8785.dumps(plain)

    def test_orders_keys_beyond_ascii_by_utf_16(self) -> None:
        plain = {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3}
        assert events.canonical(plain) == rfc8785.dumps(plain)
