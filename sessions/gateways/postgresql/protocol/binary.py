"""Values in PostgreSQL's binary formats as the text that an auditor reads.

The formats are those of the server's `…_send` functions (src/backend/utils/adt of PostgreSQL); the
text is the server's own too, with dates as ISO 8601 has them, and in UTC.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
import re
import struct
import uuid
from collections.abc import Callable, Iterator

_TEXTS = frozenset({18, 19, 25, 114, 142, 1042, 1043})
"""char, name, text, json, xml, bpchar and varchar: their binary form is their text."""
_VERSIONED = frozenset({3802, 4072})
"""jsonb and jsonpath: a byte of version, 1, then their text."""
_ARRAYS = frozenset(
    {199, 1000, 1002, 1003, 1005, 1007, 1009, 1014, 1015, 1016, 1021, 1022, 1028, 1041, 1115}
    | {1182, 1183, 1185, 1187, 1231, 1270, 2951, 3807}
    | {3905, 3907, 3909, 3911, 3913, 3927, 6150, 6151, 6152, 6153, 6155, 6157}
)
"""The arrays of the types that are read here; each tells the type of its elements."""
_RANGES = {3904: 23, 3906: 1700, 3908: 1114, 3910: 1184, 3912: 1082, 3926: 20}
"""The ranges of the server's own, and the type of their bounds."""
_MULTIRANGES = {4451: 3904, 4532: 3906, 4533: 3908, 4534: 3910, 4535: 3912, 4536: 3926}
"""The multiranges, and the type of their ranges."""
_EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_GROUP = 4
"""Decimal digits in one digit of numeric, whose base is 10,000."""
_SPECIAL_NUMERIC = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_NEGATIVE = 0x4000
_INFINITE = {2**63 - 1: "infinity", -(2**63): "-infinity"}
_INFINITE_DATE = {2**31 - 1: "infinity", -(2**31): "-infinity"}
_INET6 = 3
_MOST_DIMENSIONS = 6
_EMPTY, _LOWER_IN, _UPPER_IN, _NO_LOWER, _NO_UPPER = 0x01, 0x02, 0x04, 0x08, 0x10
"""The flags of a range (rangetypes.h)."""
_BARE = re.compile(r"[^\s{}\",\\]+")
_BARE_BOUND = re.compile(r"[^\s()\[\]\",\\]+")


def read(raw: bytes, kind: int, *, longest: int) -> str:
    """Return the value of the type with this OID as text; of a long one no less than its first
    `longest` characters. Raises ValueError for what is not of its type, and LookupError for a
    type that is not read here.
    """
    if kind in _TEXTS:
        return raw[: 4 * longest].decode("utf-8", "replace")
    if kind in _VERSIONED:
        if raw[:1] != b"\1":
            raise ValueError("another version of this format")
        return raw[1 : 1 + 4 * longest].decode("utf-8", "replace")
    try:
        if kind in _ARRAYS:
            return _array(raw, longest)
        if kind in _RANGES:
            return _range(raw, _RANGES[kind])
        if kind in _MULTIRANGES:
            return _multirange(raw, _RANGES[_MULTIRANGES[kind]], longest)
        return _READERS[kind](raw)
    except (struct.error, OverflowError, IndexError) as broken:
        raise ValueError(str(broken)) from broken


def _plain(form: str) -> Callable[[bytes], str]:
    return lambda raw: str(struct.unpack(form, raw)[0])


def _numeric(raw: bytes) -> str:
    count, weight, sign, scale = struct.unpack_from("!HhHH", raw)
    if sign in _SPECIAL_NUMERIC:
        return _SPECIAL_NUMERIC[sign]
    digits = struct.unpack_from(f"!{count}H", raw, 8)

    def decimals(first: int, end: int) -> str:
        return "".join(
            f"{digits[at] if 0 <= at < count else 0:0{_GROUP}d}" for at in range(first, end)
        )

    point = weight + 1
    whole = decimals(0, point).lstrip("0") or "0"
    part = decimals(point, point + math.ceil(scale / _GROUP))[:scale]
    return ("-" if sign == _NEGATIVE else "") + (f"{whole}.{part}" if scale else whole)


def _timestamp(raw: bytes) -> str:
    return _moment(raw, "")


def _timestamptz(raw: bytes) -> str:
    return _moment(raw, "+00")


def _moment(raw: bytes, zone: str) -> str:
    microseconds = struct.unpack("!q", raw)[0]
    if microseconds in _INFINITE:
        return _INFINITE[microseconds]
    at = _EPOCH + dt.timedelta(microseconds=microseconds)
    return f"{at.date()} {_clock(at.time())}{zone}"


def _date(raw: bytes) -> str:
    days = struct.unpack("!i", raw)[0]
    return _INFINITE_DATE.get(days) or str((_EPOCH + dt.timedelta(days=days)).date())


def _time(raw: bytes) -> str:
    return _of_day(struct.unpack("!q", raw)[0])


def _timetz(raw: bytes) -> str:
    microseconds, west = struct.unpack("!qi", raw)
    hours, rest = divmod(abs(west), 3600)
    minutes, seconds = divmod(rest, 60)
    told = (
        f"{hours:02d}"
        + (f":{minutes:02d}" if rest else "")
        + (f":{seconds:02d}" if seconds else "")
    )
    return f"{_of_day(microseconds)}{'-' if west > 0 else '+'}{told}"


def _interval(raw: bytes) -> str:
    """Return an interval in PostgreSQL's own ISO 8601 style (IntervalStyle iso_8601)."""
    microseconds, days, months = struct.unpack("!qii", raw)
    years, months = int(months / 12), int(math.fmod(months, 12))
    minutes, left = int(microseconds / 60_000_000), int(math.fmod(microseconds, 60_000_000))
    hours, minutes = int(minutes / 60), int(math.fmod(minutes, 60))
    seconds = f"{'-' if left < 0 else ''}{abs(left) // 10**6}.{abs(left) % 10**6:06d}".rstrip("0")
    dated = "".join(f"{n}{unit}" for n, unit in ((years, "Y"), (months, "M"), (days, "D")) if n)
    timed = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
    timed += f"{seconds.rstrip('.')}S" if left else ""
    return f"P{dated}{'T' if timed else ''}{timed}" if dated or timed else "PT0S"


def _of_day(microseconds: int) -> str:
    if microseconds == 24 * 3600 * 10**6:
        return "24:00:00"
    return _clock((_EPOCH + dt.timedelta(microseconds=microseconds)).time())


def _clock(time: dt.time) -> str:
    return time.isoformat().rstrip("0") if time.microsecond else time.isoformat()


def _address(raw: bytes) -> str:
    family, bits, is_net, length = raw[:4]
    address = ipaddress.ip_address(raw[4 : 4 + length])
    whole = bits == (128 if family == _INET6 else 32) and not is_net
    return str(address) if whole else f"{address}/{bits}"


def _macaddr(raw: bytes) -> str:
    return raw.hex(":")


def _array(raw: bytes, longest: int) -> str:
    dimensions, _, kind = struct.unpack_from("!iiI", raw)
    if not dimensions:
        return "{}"
    if not 0 < dimensions <= _MOST_DIMENSIONS:
        raise ValueError("an array of impossible dimensions")
    sizes = [struct.unpack_from("!ii", raw, 12 + 8 * each)[0] for each in range(dimensions)]
    elements = _elements(raw, 12 + 8 * dimensions, kind, longest)
    return "".join(_braced(sizes, elements, [longest]))


def _braced(sizes: list[int], elements: Iterator[str], left: list[int]) -> Iterator[str]:
    """Yield the array's text until `left`, the characters that are wanted, is used up."""
    yield "{"
    for number in range(sizes[0]):
        if left[0] < 0:
            return
        if number:
            yield ","
        if len(sizes) > 1:
            yield from _braced(sizes[1:], elements, left)
            continue
        element = next(elements)
        left[0] -= len(element) + 1
        yield element
    yield "}"


def _elements(raw: bytes, at: int, kind: int, longest: int) -> Iterator[str]:
    while True:
        length = struct.unpack_from("!i", raw, at)[0]
        at += 4
        if length < 0:
            yield "NULL"
            continue
        text = read(raw[at : at + length], kind, longest=longest)
        at += length
        if not _BARE.fullmatch(text) or text.upper() == "NULL":
            text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        yield text


def _range(raw: bytes, bounds: int) -> str:
    """Return a range, whose bounds have no more than a few bytes each, as its server writes it."""
    flags, at = raw[0], 1
    if flags & _EMPTY:
        return "empty"
    told = []
    for without in (_NO_LOWER, _NO_UPPER):
        bound = ""
        if not flags & without:
            length = struct.unpack_from("!i", raw, at)[0]
            at += 4
            bound = _READERS[bounds](raw[at : at + length])
            if not _BARE_BOUND.fullmatch(bound):
                bound = f'"{bound}"'
            at += length
        told.append(bound)
    lower, upper = told
    return f"{'[' if flags & _LOWER_IN else '('}{lower},{upper}{']' if flags & _UPPER_IN else ')'}"


def _multirange(raw: bytes, bounds: int, longest: int) -> str:
    """Return as many of the ranges as `longest` characters have room for, and one more."""
    count, at = struct.unpack_from("!i", raw)[0], 4
    told: list[str] = []
    while len(told) < count and sum(map(len, told)) <= longest:
        length = struct.unpack_from("!i", raw, at)[0]
        at += 4
        told.append(_range(raw[at : at + length], bounds))
        at += length
    return "{" + ",".join(told) + "}"


_READERS: dict[int, Callable[[bytes], str]] = {
    16: lambda raw: "true" if raw[0] else "false",
    20: _plain("!q"),
    21: _plain("!h"),
    23: _plain("!i"),
    26: _plain("!I"),
    650: _address,
    700: lambda raw: repr(struct.unpack("!f", raw)[0]),
    701: lambda raw: repr(struct.unpack("!d", raw)[0]),
    829: _macaddr,
    869: _address,
    1082: _date,
    1083: _time,
    1114: _timestamp,
    1184: _timestamptz,
    1186: _interval,
    1266: _timetz,
    1700: _numeric,
    2950: lambda raw: str(uuid.UUID(bytes=raw)),
}
