"""Who is on call now. Whatever goes wrong on the way means: nobody is.

Every answer here may wait for another machine: never ask inside a transaction.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.conf import settings
from django.core.cache import cache

from jit.identity import queries as identity
from jit.identity.models import User
from jit.kernel import clock
from jit.oncall import looking, silence
from jit.oncall.adapters import registry
from jit.oncall.adapters.base import Contact, Incident, OnCallPerson

log = logging.getLogger(__name__)

KEPT_SECONDS = 60
"""How old an answer may be that only a page shows. A decision never takes one that was kept."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system said of one service; `problem` says why it could not be asked (wholly),
    and is empty where all that was asked came.
    """

    name: str
    system: str
    people: tuple[OnCallPerson, ...]
    incidents: tuple[Incident, ...]
    problem: str
    asked_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What one person is on call for, and what was asked to know it.

    `until` is when the first of these shifts ends, None where none has an end. `known` is
    whether every system answered. `checks` says by name what was found, for the record.
    """

    on_call_for: tuple[str, ...] = ()
    acknowledged_for: tuple[str, ...] = ()
    until: dt.datetime | None = None
    known: bool = True
    checks: dict[str, str] = field(default_factory=dict)


def on_call(names: Iterable[str] | None = None, *, incidents: bool = True) -> dict[str, Answer]:
    """Return what the systems say now of these services (of all, without `names`), with the
    incidents that were acknowledged unless only the people are wanted.

    Names that the settings don't have are left out. At most ONCALL_TIMEOUT seconds; a system
    that let us wait is not asked again for a moment.
    """
    try:
        services = registry.services()
    except Exception:  # unusable settings take on-call away, not the service
        log.exception("the on-call settings can't be used: nobody counts as on call")
        return {}
    chosen = services if names is None else {n: services[n] for n in names if n in services}
    questions: dict[tuple[str, str], Callable[[], tuple[Any, ...]]] = {}
    for name, service in chosen.items():
        if silence.lasts(service.system.url):
            continue
        questions[name, "people"] = partial(service.system.who_is_on_call, service.reference)
        if incidents:
            questions[name, "incidents"] = partial(service.system.incidents_of, service.reference)
    answers = looking.at_once(questions, seconds=settings.ONCALL_TIMEOUT) if questions else {}
    now = clock.now()
    found: dict[str, Answer] = {}
    slow: set[str] = set()
    answered: set[str] = set()
    for name, service in chosen.items():
        people, why_not = _judged(name, answers.get((name, "people")))
        taken, why_none = _judged(name, answers.get((name, "incidents"))) if incidents else ((), "")
        (slow if silence.SLOW in {why_not, why_none} else answered).add(service.system.url)
        found[name] = Answer(
            name=name,
            system=service.system.name,
            people=people,
            incidents=taken,
            problem=why_not or why_none,
            asked_at=now,
        )
    for address in {chosen[name].system.url for name, _ in questions} & slow - answered:
        silence.note(address)
    return found


def _judged(name: str, answer: tuple[Any, ...] | Exception | None) -> tuple[tuple[Any, ...], str]:
    if isinstance(answer, tuple):
        return answer, ""
    extra = getattr(answer, "extra", {})
    why = silence.SLOW if answer is None else extra.get("why", type(answer).__name__)
    log.warning("on-call for %s could not be asked: %s", name, why)
    return (), str(why)


def on_call_kept(names: Iterable[str] | None = None) -> dict[str, Answer]:
    """Return the same for pages that only show it, at most KEPT_SECONDS old."""
    wanted = sorted(known_names() if names is None else set(names))
    keys = {_key(name): name for name in wanted}
    try:
        kept = {keys[key]: answer for key, answer in cache.get_many(keys).items()}
    except Exception:  # noqa: BLE001 -- without a cache every page asks
        kept = {}
    missing = [name for name in wanted if name not in kept]
    fresh = on_call(missing) if missing else {}
    try:
        cache.set_many({_key(name): answer for name, answer in fresh.items()}, KEPT_SECONDS)
    except Exception:  # noqa: BLE001 -- as above
        log.debug("on-call answers could not be kept")
    return kept | fresh


def _key(name: str) -> str:
    return f"on-call:{name}"


def forget(names: Iterable[str]) -> None:
    """Drop what was kept for pages of these services."""
    cache.delete_many([_key(name) for name in names])


def known_names() -> list[str]:
    """Return the names that policies may use; none where the settings can't be used."""
    if not settings.ONCALL_SERVICES:
        return []
    try:
        return sorted(registry.services())
    except Exception:  # as in `on_call`
        log.exception("the on-call settings can't be used: nobody counts as on call")
        return []


def people_on_call(name: str) -> list[str]:
    """Return the usernames of the active people who have the pager of `name` now; none where
    it is unknown or could not be asked. Being on call is a reason to be asked, never a yes.
    """
    answer = on_call([name], incidents=False).get(name)
    if answer is None:
        log.warning("an approver expression names oncall:%s, which nobody set up", name)
        return []
    found = [_user_behind(person.contact) for person in answer.people]
    return list(dict.fromkeys(user.username for user in found if user is not None))


def _user_behind(contact: Contact) -> User | None:
    """Return the active account that a contact means. A username that was bound wins: an
    address is tried only where there is none, and counts only if exactly one person has it.
    """
    if not contact.username:
        return identity.user_by_email(contact.email)
    user = identity.user_by_username(contact.username)
    return user if user is not None and user.is_active else None


def standing(
    user: User, *, now: dt.datetime, names: Iterable[str] | None = None, fresh: bool = True
) -> Standing:
    """Return what `user` is on call for among `names` (all services, without them).

    `fresh` asks the systems now; without it an answer of the last minute does, which is only
    good for showing.
    """
    if not settings.ONCALL_SERVICES:
        return Standing()
    if not known_names():
        return Standing(known=False)
    answers = on_call(names) if fresh else on_call_kept(names)
    on_call_for, acknowledged, ends, checks = [], [], [], {}
    for name, answer in answers.items():
        shifts = [
            person
            for person in answer.people
            if (person.until is None or person.until > now) and _is(user, person.contact)
        ]
        if shifts:
            on_call_for.append(name)
            ends += [_last_end(shifts)]
        taken = [
            i.key for i in answer.incidents if any(_is(user, who) for who in i.acknowledged_by)
        ]
        if taken:
            acknowledged.append(name)
        checks[name] = _told(answer, shifts, taken)
    bounded = [end for end in ends if end is not None]
    return Standing(
        on_call_for=tuple(sorted(on_call_for)),
        acknowledged_for=tuple(sorted(acknowledged)),
        until=min(bounded) if bounded else None,
        known=not any(answer.problem for answer in answers.values()),
        checks=checks,
    )


def _last_end(shifts: list[OnCallPerson]) -> dt.datetime | None:
    ends = [shift.until for shift in shifts if shift.until is not None]
    return max(ends) if len(ends) == len(shifts) else None


def _is(user: User, contact: Contact) -> bool:
    found = _user_behind(contact)
    return found is not None and found.pk == user.pk


def _told(answer: Answer, shifts: list[OnCallPerson], taken: list[str]) -> str:
    """Return the check in one line: what the record of the ruling keeps of it."""
    said = [f"asked {answer.system} at {clock.rfc3339(answer.asked_at)}"]
    if answer.problem:
        said.append(f"it {answer.problem}")
    for shift in shifts:
        until = clock.rfc3339(shift.until) if shift.until else "no end"
        said.append(f"on call at level {shift.level} until {until}")
    if not shifts and not answer.problem:
        said.append("not on call")
    if taken:
        said.append(f"acknowledged {', '.join(taken[:5])}")
    return "; ".join(said)
