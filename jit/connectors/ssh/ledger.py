"""The ledger beside the KRL: what was signed under which name, until when, and what was revoked.

A certificate leaves no trace on a host, so what is "under our mark on the target" is what was
signed and is neither refused nor over. The KRL is written from the ledger, both whole, under a
lock that all workers share; they must see one file (one machine, or one volume with locks).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from jit.connectors.base import GrantSpec, Refused, Unreachable
from jit.connectors.ssh import krl
from jit.connectors.ssh.authority import LONGEST, new_serial
from jit.kernel import clock

FORMAT = 1
CANARY = "jit-canary"
"""A key id that every list refuses: a host that lets it in does not keep our list."""
MARGIN = dt.timedelta(hours=1)
"""How long an entry outlives the last certificate it refuses, whatever a host's clock says."""

LONGEST_WAIT = 2.0
"""Seconds for which another process's writing is waited for: one that was stopped ends no wait."""
_PAUSE = 0.005


def canary_of(version: int) -> str:
    """Return the key id that lists refuse from this version on."""
    return f"{CANARY}-{version}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One name: the latest end that a certificate under it may have, and who logs in how."""

    grant: str
    person: str
    login: str
    principals: tuple[str, ...]
    deadline: dt.datetime
    serial: int
    generation: int
    revoked_at: dt.datetime | None = None
    proven_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """The ledger's whole content. `superseded` maps serials to the end of their certificates."""

    version: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    superseded: dict[int, dt.datetime] = field(default_factory=dict)

    @property
    def refused(self) -> tuple[frozenset[str], frozenset[int]]:
        """The names and serials that no host may take."""
        names = frozenset(name for name, entry in self.entries.items() if entry.revoked_at)
        return names, frozenset(self.superseded)

    def revocations(self, now: dt.datetime) -> krl.Krl:
        """Return the list that hosts are to keep."""
        names, serials = self.refused
        return krl.Krl(
            version=self.version,
            generated=int(now.timestamp()),
            key_ids=names | {CANARY, canary_of(self.version)},
            serials=serials,
        )

    def compacted(self, now: dt.datetime) -> Book:
        """Return the book without what refuses only certificates that expired for sure."""
        over = now - MARGIN
        return replace(
            self,
            entries={
                name: entry
                for name, entry in self.entries.items()
                if entry.revoked_at is None or entry.deadline > over
            },
            superseded={n: end for n, end in self.superseded.items() if end > over},
        )


class Ledger:
    """The two files of one target. Every method may be called by many processes at once."""

    def __init__(self, krl_file: str) -> None:
        self.krl = Path(krl_file)
        self.path = Path(f"{krl_file}.ledger")
        self._lock = Path(f"{krl_file}.lock")

    def read(self) -> Book:
        """Return what is written now. Raises Unreachable."""
        try:
            return _book(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Book()
        except (OSError, ValueError, KeyError, TypeError) as broken:
            raise Unreachable(f"{self.path} can't be read: {type(broken).__name__}") from None

    def issue(self, spec: GrantSpec, *, login: str, principals: Collection[str]) -> int:
        """Enter a certificate that is about to be signed and return its serial; the one before
        it is refused from now on.

        Raises Refused for a name that was revoked, is another grant's or of a newer generation,
        and Unreachable.
        """
        serial = new_serial()

        def enter(book: Book, _now: dt.datetime) -> Book:
            known = book.entries.get(spec.external_name)
            superseded = dict(book.superseded)
            if known:
                _refuse_a_strangers(known, spec)
                superseded[known.serial] = known.deadline
            entry = Entry(
                grant=spec.grant_id,
                person=spec.principal,
                login=login,
                principals=tuple(principals),
                deadline=spec.ends_at,
                serial=serial,
                generation=spec.generation,
            )
            entries = {**book.entries, spec.external_name: entry}
            return replace(book, entries=entries, superseded=superseded)

        self._write(enter)
        return serial

    def extend(self, spec: GrantSpec) -> None:
        """Let later certificates under this name end at `spec.ends_at`. Raises Refused,
        Unreachable.
        """

        def enter(book: Book, _now: dt.datetime) -> Book:
            known = book.entries.get(spec.external_name)
            if known is None:
                raise Refused(f"{spec.external_name} is not in the ledger: the target lost it")
            _refuse_a_strangers(known, spec)
            entry = replace(known, deadline=max(known.deadline, spec.ends_at))
            return replace(book, entries={**book.entries, spec.external_name: entry})

        self._write(enter)

    def revoke(self, specs: Collection[GrantSpec]) -> Book:
        """Refuse every certificate under these names, known or not, and return what the book
        says then. Raises Unreachable.
        """

        def enter(book: Book, now: dt.datetime) -> Book:
            entries = dict(book.entries)
            for spec in specs:
                known = entries.get(spec.external_name)
                if known is None:
                    # Nobody knows what was signed under it: refuse it for as long as it may live.
                    entries[spec.external_name] = Entry(
                        grant=spec.grant_id,
                        person=spec.principal,
                        login="",
                        principals=(),
                        deadline=max(spec.ends_at, now + LONGEST),
                        serial=0,
                        generation=spec.generation,
                        revoked_at=now,
                    )
                elif known.revoked_at is None:
                    entries[spec.external_name] = replace(
                        known, revoked_at=now, deadline=max(known.deadline, spec.ends_at)
                    )
            return replace(book, entries=entries)

        return self._write(enter)

    def proven(self, names: Collection[str]) -> None:
        """Note that every host was seen to refuse these names. Raises Unreachable."""

        def enter(book: Book, now: dt.datetime) -> Book:
            marked = {name: replace(book.entries[name], proven_at=now) for name in names}
            return replace(book, entries={**book.entries, **marked})

        self._write(enter)

    def ensure(self) -> Book:
        """Return the book, after putting a list in place where there is none or a wrong one."""
        book = self.read()
        if book.version and self._listed() == book.version:
            return book
        return self._write(lambda book, _now: book)

    def _write(self, change: Callable[[Book, dt.datetime], Book]) -> Book:
        """Apply a change to the book as it is now, then write it, then the list from it.

        A crash between the two leaves the list of before: the next writing, or `ensure`, makes
        it good, and nothing is called revoked until hosts were seen to refuse it.
        """
        try:
            with self._locked():
                now = clock.now()
                before = self.read()
                book = change(before, now).compacted(now)
                if not before.version or book.refused != before.refused:
                    version = max(before.version + 1, int(now.timestamp() * 1_000_000))
                    book = replace(book, version=version)
                krl.replace(self.path, _plain(book), mode=0o600)
                if self._listed() != book.version:
                    krl.replace(self.krl, krl.written(book.revocations(now)), mode=0o644)
                return book
        except OSError as failure:
            raise Unreachable(f"{self.krl} can't be written: {failure.strerror}") from None

    def _listed(self) -> int | None:
        """Return the version of the list in place, or None where there is none to be read."""
        try:
            return krl.read(self.krl.read_bytes()).version
        except (OSError, krl.BrokenKrl):
            return None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + LONGEST_WAIT
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise Unreachable(
                            f"{self._lock} is held by another process for over {LONGEST_WAIT:g} s: "
                            "one that was stopped, perhaps (lsof says which)"
                        ) from None
                    time.sleep(_PAUSE)
            yield
        finally:
            os.close(handle)


def _refuse_a_strangers(known: Entry, spec: GrantSpec) -> None:
    if known.revoked_at:
        raise Refused(f"{spec.external_name} was revoked already; it is not given again")
    if known.grant != spec.grant_id:
        raise Refused(f"{spec.external_name} is in the ledger and is not this grant's")
    if known.generation > spec.generation:
        raise Refused(f"{spec.external_name} belongs to a newer generation of this grant")


def _plain(book: Book) -> bytes:
    plain = {
        "format": FORMAT,
        "version": book.version,
        "entries": {name: asdict(entry) for name, entry in book.entries.items()},
        "superseded": {str(number): end for number, end in book.superseded.items()},
    }
    return json.dumps(plain, default=clock.rfc3339, indent=1).encode()


def _book(plain: dict[str, Any]) -> Book:
    if plain["format"] != FORMAT:
        raise ValueError("a ledger of another format")

    def moment(text: str | None) -> dt.datetime | None:
        return dt.datetime.fromisoformat(text) if text else None

    return Book(
        version=plain["version"],
        entries={
            name: Entry(
                **{
                    **entry,
                    "principals": tuple(entry["principals"]),
                    "deadline": dt.datetime.fromisoformat(entry["deadline"]),
                    "revoked_at": moment(entry["revoked_at"]),
                    "proven_at": moment(entry["proven_at"]),
                }
            )
            for name, entry in plain["entries"].items()
        },
        superseded={
            int(number): dt.datetime.fromisoformat(end)
            for number, end in plain["superseded"].items()
        },
    )
