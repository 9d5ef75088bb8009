"""What a program without a terminal is fed: `bash -s < script`, Ansible's modules, `cat > file`.

Its size and digest are always on record, so that a script somebody shows later can be held
against what ran. Its text is kept only where the role says so, since passwords are fed that way
too (`sudo -S`): what is typed unseen is nowhere on record otherwise.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

_utf8 = codecs.getincrementaldecoder("utf-8")


class Marker(Protocol):
    def mark(self, fact: Mapping[str, Any]) -> None: ...


class StandardInput:
    """Counts and digests what it is given; marks the text of the first `keep` bytes as it comes,
    unless it is binary, and at the end how much there was.
    """

    def __init__(self, marker: Marker, *, keep: int = 0) -> None:
        self._marker = marker
        self._keep = keep
        self._kept = 0
        self._binary = False
        self._decoder = _utf8("strict")
        self._bytes = 0
        self._digest = hashlib.sha256()
        self._finished = False

    def take(self, data: bytes) -> None:
        if not data or self._finished:
            return
        self._bytes += len(data)
        self._digest.update(data)
        part = data[: self._keep - self._kept]
        if part and not self._binary:
            self._kept += len(part)
            self._text(part)

    def finish(self) -> None:
        """Mark how much there was, once."""
        if self._finished:
            return
        self._finished = True
        if not self._bytes:
            return
        fact = {"kind": "stdin", "bytes": self._bytes, "sha256": self._digest.hexdigest()}
        if self._binary:
            fact["binary"] = True
        elif self._keep and self._bytes > self._kept:
            fact["kept"] = self._kept
        self._marker.mark(fact)

    def _text(self, data: bytes) -> None:
        try:
            text = self._decoder.decode(data)
        except UnicodeDecodeError:
            self._binary = True
            return
        self._binary = "\0" in text
        if text and not self._binary:
            self._marker.mark({"kind": "stdin", "text": text})
