"""What a real server sends in binary reads as that server writes it itself."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.gateways.postgresql.protocol import binary
from tests.sessions.gateways.postgresql.ground import Ground

VALUES = {
    "bool": ["true", "false"],
    "int2": ["-32768"],
    "int4": ["2147483647"],
    "int8": ["-9223372036854775808"],
    "oid": ["4294967295"],
    "text": ["plain", "", 'ä€😀 \\ "'],
    "json": ['{"k": [1, 2]}'],
    "jsonb": ['{"k": [1, 2]}', "null"],
    "jsonpath": ["$.k[*]"],
    "uuid": ["0d9a1f6e-8a0e-4d8b-9a39-1a5e6ed0a2f1"],
    "numeric": ["0", "1.5", "-1234567.0890", "0.00001234", "10000", "1e50", "1e-40", "NaN"],
    "decimal": ["0.000", "Infinity", "-99999999.99999999", "100", "0.10"],
    "date": ["2026-11-28", "0001-01-01", "1999-12-31", "infinity", "-infinity"],
    "time": ["00:00:00", "23:59:59.999999", "24:00:00", "12:30:00.5"],
    "timetz": ["12:30:00+05:30", "12:30:00-08", "00:00:00+00"],
    "timestamp": ["2026-11-28 22:33:44.56", "1999-12-31 23:59:59", "infinity"],
    "timestamptz": ["2026-11-28 22:33:44.560001+02", "-infinity", "1970-01-01 00:00:00+00"],
    "interval": ["1 year 2 months -3 days 04:05:06.7", "-1 mon", "0", "-00:00:00.5", "25:00:00"],
    "inet": ["10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"],
    "cidr": ["10.0.0.0/8", "10.0.0.1/32"],
    "macaddr": ["08:00:2b:01:02:03"],
    "int4[]": ["{}", "{1,NULL,-3}", "{{1,2},{3,4}}"],
    "text[]": ['{a,"b c","",NULL,"NULL","x\\"y\\\\z"}'],
    "uuid[]": ["{0d9a1f6e-8a0e-4d8b-9a39-1a5e6ed0a2f1}"],
    "numeric[]": ["{1.50,-2}"],
    "timestamptz[]": ['{"2026-11-28 22:33:44+00"}'],
    "jsonb[]": ['{"{\\"a\\": 1}"}'],
    "int4range": ["[1,10)", "empty", "(,5)", "[7,)", "(,)"],
    "int8range": ["[-9223372036854775808,3]"],
    "numrange": ["(1.50,2.5]", "[1,NaN]"],
    "daterange": ["[2026-11-28,infinity]", "(2026-11-28,)"],
    "tsrange": ["(2026-11-28 22:33:44.5,2026-11-29]"],
    "tstzrange": ["[2026-11-28 22:33:44+02,)", "[-infinity,infinity)"],
    "int4multirange": ["{}", "{[1,3),[5,7)}"],
    "int8multirange": ["{(,3)}"],
    "nummultirange": ["{(1.5,2),[3,)}"],
    "datemultirange": ["{[2026-11-28,2026-12-01)}"],
    "tsmultirange": ["{[2026-11-28 22:00,2026-11-28 23:00)}"],
    "tstzmultirange": ["{[2026-11-28 22:00+00,2026-11-28 23:00+00)}"],
    "int4range[]": ["{}", '{"[1,3)",NULL,empty}'],
    "int8range[]": ['{"[1,3)"}'],
    "numrange[]": ['{"[1,3)"}'],
    "daterange[]": ['{"[2026-11-28,2026-12-01)"}'],
    "tsrange[]": ['{"[2026-11-28 22:00,)"}'],
    "tstzrange[]": ['{"[2026-11-28 22:00+00,)"}'],
    "int4multirange[]": ['{"{[1,3)}"}'],
    "int8multirange[]": ['{"{[1,3)}"}'],
    "nummultirange[]": ['{"{[1,3)}"}'],
    "datemultirange[]": ['{"{[2026-11-28,2026-12-01)}"}'],
    "tsmultirange[]": ['{"{[2026-11-28 22:00,)}"}'],
    "tstzmultirange[]": ['{"{[2026-11-28 22:00+00,)}"}'],
}


@pytest.mark.parametrize("kind", VALUES)
def test_is_what_the_server_writes(ground: Ground, kind: str) -> None:
    question = f"SELECT $1::{kind}".encode()
    with ground.root() as root:
        root.execute("SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601'; SET DateStyle = 'ISO'")
        for value in VALUES[kind]:
            text, raw = (
                root.pgconn.exec_params(question, [value.encode()], result_format=how)
                for how in (0, 1)
            )
            sent, written = raw.get_value(0, 0), text.get_value(0, 0)
            assert sent is not None
            assert written is not None
            told = binary.read(sent, raw.ftype(0), longest=1000)
            assert told == {"t": "true", "f": "false"}.get(written.decode(), written.decode())


def test_a_long_array_is_read_as_far_as_it_is_kept() -> None:
    element = (4).to_bytes(4) + (7).to_bytes(4)
    raw = (1).to_bytes(4) + bytes(4) + (23).to_bytes(4) + (10**6).to_bytes(4) + (1).to_bytes(4)
    text = binary.read(raw + element * 1000, 1007, longest=100)
    assert text.startswith("{7,7,")
    assert 100 < len(text) < 120


def test_a_multirange_of_many_is_read_as_far_as_it_is_kept() -> None:
    one = bytes([0x02]) + (4).to_bytes(4) + (1).to_bytes(4) + (4).to_bytes(4) + (2).to_bytes(4)
    text = binary.read((10**6).to_bytes(4) + (len(one).to_bytes(4) + one) * 1000, 4451, longest=100)
    assert text.startswith("{[1,2),[1,2),")
    assert 100 < len(text) < 140


KINDS = [*binary._READERS, *binary._ARRAYS, *binary._RANGES, *binary._MULTIRANGES, 25, 3802]


@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_nonsense_is_refused_or_read(raw: bytes, kind: int) -> None:
    with contextlib.suppress(ValueError, LookupError):
        assert isinstance(binary.read(raw, kind, longest=100), str)
