"""What every connector is: its contract, its errors, and the one door to its target."""

from __future__ import annotations

import copy
import datetime as dt
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from jit.connectors import secret_refs, watchdog
from jit.kernel import clock
from jit.kernel.errors import DomainError

log = logging.getLogger(__name__)

API_VERSION = 1
LONGEST_ERROR = 1000


class ConnectorError(Exception):
    """What went wrong at a target. `permanent` says that trying the same again is useless;
    `evidence` is what was seen of the target, for the record.
    """

    permanent: ClassVar[bool] = False

    def __init__(self, detail: str, *, evidence: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail[:LONGEST_ERROR]
        self.evidence = dict(evidence or {})

    def __str__(self) -> str:
        return self.detail

    @property
    def code(self) -> str:
        return type(self).__name__


class Unreachable(ConnectorError):
    """The target did not take the call; nothing was changed. Try again later."""


class Ambiguous(ConnectorError):
    """The answer was lost: it may or may not have happened. Every call is idempotent, so try
    the same again, or revoke.
    """


class Residue(ConnectorError):
    """The access is gone (nobody can use it, no connection is open) but something of it is
    left that a person must tidy up. `evidence` says what, and proves that it is harmless.
    """


class Refused(ConnectorError):
    """The target, or the connector itself, says no, and will again."""

    permanent = True


class InvalidConfig(DomainError):
    """A target's or a role's configuration that the connector can't work with; `fields` says
    which and why. Never repeats the value, which may be a secret in the wrong place.
    """

    status = 422
    title = "The connector can't work with this configuration"


class Config(BaseModel):
    """The base of every configuration: frozen, nothing unknown, values never in errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True
    )

    @classmethod
    def parse(cls, plain: Mapping[str, Any]) -> Self:
        """Return the checked configuration, or raise InvalidConfig."""
        try:
            return cls.model_validate(dict(plain))
        except ValidationError as invalid:
            fields: dict[str, list[str]] = {}
            for error in invalid.errors(include_input=False, include_url=False):
                where = ".".join(str(part) for part in error["loc"]) or "config"
                fields.setdefault(where, []).append(error["msg"])
            said = "; ".join(f"{where}: {', '.join(why)}" for where, why in fields.items())
            raise InvalidConfig(said, fields=fields) from None

    def references(self) -> Iterator[secret_refs.Reference]:
        """Yield the references to secrets in it, wherever they stand."""
        for _, value in self:
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, secret_refs.Reference):
                    yield each
                elif isinstance(each, Config):
                    yield from each.references()


@dataclass(frozen=True, slots=True)
class Caps:
    """What this kind of target can do; shown to approvers."""

    target_holds_deadline: bool
    can_cut_sessions: bool
    separates_overlapping_grants: bool
    issues_credential: bool


@dataclass(frozen=True, slots=True)
class GrantSpec:
    """What a connector is told of a grant. `external_name` is derived from the grant's id and
    was committed before; `ends_at` is aware and in UTC; `earlier` is the evidence of the attempts
    at its revocation so far.
    """

    grant_id: str
    external_name: str
    principal: str
    role_config: Mapping[str, Any]
    ends_at: dt.datetime
    generation: int = 1
    earlier: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.ends_at.tzinfo is None:
            raise ValueError("a deadline must carry its zone")


@dataclass(frozen=True, slots=True)
class Issued:
    """What provisioning gave. `credential` holds a password: seal it, show it once."""

    credential: Mapping[str, str] = field(repr=False)
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing under our mark on the target, whatever our books say. `deadline` is None where
    the target holds none; `usable` says whether it still gives access.
    """

    external_name: str
    deadline: dt.datetime | None
    live_connections: int
    usable: bool = True
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Revoked:
    """The proof: `absent` was observed on the target after revoking, `evidence` says how."""

    absent: bool
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a health report. A failing check with `only_warns` leaves the target usable."""

    name: str
    ok: bool
    detail: str
    only_warns: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the target can be used. `skew_seconds` is its clock minus ours."""

    ok: bool
    detail: str
    skew_seconds: float | None = None
    checks: tuple[Check, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Moment(StrEnum):
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Call:
    """One passage through the door, for the journal; `step` has at most 20 characters."""

    step: str
    at: dt.datetime
    milliseconds: int
    ok: bool
    error: str = ""


def _no_journal(call: Call) -> None:
    log.debug("call %s ok=%s in %d ms", call.step, call.ok, call.milliseconds)


type Evidence = Mapping[str, Any]


def _keep_nothing(known: Mapping[str, Evidence]) -> None:
    log.debug("evidence of %d", len(known))


@dataclass(frozen=True, kw_only=True)
class Context:
    """The one door to a target: it journals each call, ends it in time, and is where the
    conformance kit crashes the caller (`interfere` is for the kit alone). `keep` commits evidence
    by external name, of an attempt that is not over yet.
    """

    timeout_seconds: float = 10.0
    journal: Callable[[Call], None] = _no_journal
    resolve_db: Callable[[str], SecretStr] | None = None
    keep: Callable[[Mapping[str, Evidence]], None] = _keep_nothing
    interfere: Callable[[str, Moment], None] | None = field(default=None, repr=False)

    def call[T](self, step: str, fn: Callable[[], T], *, abort: Callable[[], None]) -> T:
        """Return `fn()`, which talks to the target.

        After `timeout_seconds` `abort` is called from another thread and must make `fn` raise,
        by closing its socket for instance. Raises what `fn` raises, which is a ConnectorError
        for everything that the connector foresaw.
        """
        if self.interfere:
            self.interfere(step, Moment.BEFORE)
        at, started, late = clock.now(), time.monotonic(), threading.Event()

        def end_it() -> None:
            late.set()
            abort()

        call_off = watchdog.watch(self.timeout_seconds, end_it)
        error = ""
        try:
            result = fn()
        except Exception as failure:
            if late.is_set() and isinstance(failure, ConnectorError):
                failure.detail = f"{step}: no answer within {self.timeout_seconds:g} s"
            error = f"{type(failure).__name__}: {failure}"[:LONGEST_ERROR]
            raise
        finally:
            call_off()
            spent = round((time.monotonic() - started) * 1000)
            self._write(Call(step=step, at=at, milliseconds=spent, ok=not error, error=error))
        if self.interfere:
            self.interfere(step, Moment.AFTER)
        return result

    def secret(self, reference: str) -> SecretStr:
        """Return what a SecretRef points to, read now. Raises secret_refs.SecretUnavailable."""
        return secret_refs.resolve(reference, resolve_db=self.resolve_db)

    def remember(self, known: Mapping[str, Evidence]) -> None:
        """Commit what is known of these (by external name) before a step that takes it from
        sight: should we die after it, the next attempt is told (GrantSpec.earlier).
        """
        if not known:
            return
        try:
            self.keep(known)
        except Exception:  # what takes power away waits for no witness
            log.exception("could not keep the evidence of %s", ", ".join(known))

    def _write(self, call: Call) -> None:
        try:
            self.journal(call)
        except Exception:  # the journal is a witness; it must not undo what happened
            log.exception("could not journal the call %s", call.step)


class Connector(ABC):
    """One kind of target. An instance belongs to one target's configuration, keeps its
    connections, and may be used by several threads at once.

    Every call is idempotent by `external_name`; every call to the target passes through
    `self.context.call`. Nothing of the target's answers is trusted to be recent: `revoke`
    observes after acting.
    """

    api_version: ClassVar[int] = API_VERSION
    kind: ClassVar[str]
    caps: ClassVar[Caps]
    config_model: ClassVar[type[Config]]
    role_model: ClassVar[type[Config]]
    changeable_while_live: ClassVar[frozenset[str]] = frozenset()
    """Keys of a target's configuration that may change while it has live grants: they neither
    say where the target is, nor are needed to revoke what was given.
    """
    closing: ClassVar[str] = (
        "its connector hands out the target's own credential, so it can't be: let the rule say "
        "best_effort, or retire the role"
    )
    """What to do so that a role is used through a gateway alone, for whoever reads the refusal."""

    def __init__(self, config: Config, context: Context | None = None) -> None:
        self.config: Any = config
        self.context = context or Context()

    def within(self, context: Context) -> Self:
        """Return this connector, sharing its connections, with another door (its own journal
        and timeout).
        """
        twin = copy.copy(self)
        twin.context = context
        return twin

    @abstractmethod
    def provision(self, spec: GrantSpec) -> Issued:
        """Give the access, with its deadline on the target before or together with it.

        Again: the same one object, with a fresh credential. Raises ConnectorError; after an
        error nothing is usable without a deadline.
        """

    @abstractmethod
    def extend(self, spec: GrantSpec) -> None:
        """Move the deadline on the target later, to `spec.ends_at`. Raises ConnectorError;
        Refused if the access is not there: what the target lost is never quietly re-created.
        """

    @abstractmethod
    def observe(self) -> list[Seen]:
        """Return everything under our mark on the target. Raises ConnectorError."""

    @abstractmethod
    def revoke(self, specs: Sequence[GrantSpec]) -> list[Revoked | ConnectorError]:
        """Neutralise, cut, remove, and observe; one answer for each spec, in their order.

        One that fails doesn't stop the others; never raises a ConnectorError. What was absent
        already is revoked.
        """

    @abstractmethod
    def cut(self, spec: GrantSpec) -> int:
        """End the open connections of this grant and return how many there were."""

    def suspend(self, external_name: str) -> Mapping[str, Any]:
        """Take the use away from what is under our mark and no grant accounts for, in a way that
        can be undone: nobody comes in by it, and its connections are cut. Return what was seen.

        Raises ConnectorError; Refused where this kind of target can't, or it isn't ours.
        """
        raise Refused(f"{self.kind} can't suspend {external_name}: remove it")

    @abstractmethod
    def health(self) -> Health:
        """Return whether the target can be used, and what is too little or too much; never
        raises a ConnectorError.
        """

    def check_role(self, role_config: Mapping[str, Any]) -> None:
        """Refuse a role's configuration that can't work, without asking the target.

        Raises InvalidConfig.
        """
        self.role_model.parse(role_config)

    def is_direct(self, role_config: Mapping[str, Any]) -> bool:
        """Return whether people are handed a credential of the target itself for such a role,
        with which they need no gateway. Raises InvalidConfig.
        """
        self.role_model.parse(role_config)
        return True

    def close(self) -> None:  # noqa: B027 -- most connectors keep nothing open
        """Give back what is kept open."""
