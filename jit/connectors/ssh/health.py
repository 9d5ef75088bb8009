"""Whether a group of hosts can be used: each knows us, keeps our list, and has the right time."""

from __future__ import annotations

from collections.abc import Iterator

from jit.connectors.base import Check, ConnectorError, Health
from jit.connectors.ssh import scripts
from jit.connectors.ssh.config import SSHConfig
from jit.connectors.ssh.ledger import CANARY, Book, Ledger, canary_of
from jit.connectors.ssh.wire import Answer, Door, Question, Wires
from jit.kernel import clock

LARGEST_SKEW = 2.0
"""Seconds between a host's clock and ours: certificates are judged by the host's."""
_SLACK = 10
"""Seconds that a host may take to fetch the list, besides its interval."""


def without_authority(failure: ConnectorError) -> Health:
    """Return the report of a target whose CA key can't be had."""
    check = Check("authority", ok=False, detail=failure.detail)
    return Health(ok=False, detail=failure.detail, checks=(check,))


def examine(config: SSHConfig, ledger: Ledger, wires: Wires) -> Health:
    """Return the report of one target; never raises a ConnectorError."""
    try:
        book = ledger.ensure()
    except ConnectorError as failure:
        check = Check("list", ok=False, detail=failure.detail)
        return Health(ok=False, detail=failure.detail, checks=(check,))
    checks = [
        Check("authority", ok=True, detail=f"signs as {wires.authority.fingerprint}"),
        Check("list", ok=True, detail=f"version {book.version}, {len(book.refused[0])} names"),
    ]
    must_refuse = (CANARY, *([canary_of(book.version)] if _is_due(config, book) else []))
    doors = [Door(host, config.observer.login, config.observer.principal) for host in config.hosts]
    try:
        answers = wires.ask(
            "ask the hosts",
            [Question(door, scripts.clock_only(), must_refuse) for door in doors],
        )
    except ConnectorError as failure:
        answers = [failure for _ in doors]
    skews = []
    for door, answer in zip(doors, answers, strict=True):
        checks += _of_host(door, answer, config)
        if isinstance(answer, Answer) and answer.skew is not None:
            skews.append(answer.skew)
    failed = [check for check in checks if not check.ok]
    broken = [check for check in failed if not check.only_warns]
    said = "; ".join(dict.fromkeys(check.detail for check in broken or failed))
    return Health(
        ok=not broken,
        detail=said or "all is well",
        skew_seconds=max(skews, key=abs, default=None),
        checks=tuple(checks),
    )


def _is_due(config: SSHConfig, book: Book) -> bool:
    """Return whether every host must have the present list by now. Versions are moments, in
    microseconds since 1970.
    """
    written = book.version / 1_000_000
    wait = config.krl_refresh + _SLACK if config.krl_refresh else 0
    return clock.now().timestamp() - written > wait


def _of_host(door: Door, answer: Answer | ConnectorError, config: SSHConfig) -> Iterator[Check]:
    name = door.host.name
    if isinstance(answer, ConnectorError):
        yield Check(f"{name}: reachable", ok=False, detail=answer.detail)
        return
    yield Check(f"{name}: reachable", ok=True, detail=f"{name} proves itself and lets us look")
    yield Check(
        f"{name}: keeps the list",
        ok=answer.accepted != CANARY,
        detail=f"{name} takes a certificate that every list refuses: RevokedKeys must name the list"
        if answer.accepted == CANARY
        else f"{name} refuses what is revoked",
    )
    if answer.accepted == CANARY:
        return
    stale = answer.accepted.startswith(CANARY)
    yield Check(
        f"{name}: list is fresh",
        ok=not stale,
        detail=f"{name} has an old list: it should fetch it every {config.krl_refresh} s"
        if stale
        else f"{name} has the list of now",
    )
    if stale:
        return
    yield Check(
        f"{name}: clock",
        ok=answer.skew is not None and abs(answer.skew) <= LARGEST_SKEW,
        detail=f"{door.login} has no shell on {name} that tells the time; give it one"
        if answer.skew is None
        else f"the clock of {name} is {answer.skew:+.3f} s off ours (at most {LARGEST_SKEW:g} s)",
    )
