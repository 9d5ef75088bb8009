"""A ruling as sentences: what will happen, who is asked in which order, what is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jit.policy.facts import ATTRIBUTES, Kind
from jit.policy.ruling import GUARDRAIL
from jit.web.templatetags.pages import duration, who


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence with its shape and tone."""

    text: str
    icon: str = "check"
    tone: str = "ok"


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the chain to come: whom it asks, how many of them, how long they have."""

    asks: str
    quorum: int
    answer_within: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """One clause as it was weighed. `kind` is what it is for, `went` how it went; `message` is
    its sentence, where it refused.
    """

    rule: str
    kind: str
    text: str
    values: tuple[str, ...]
    went: str
    icon: str
    tone: str
    message: str


ADMITTED = ("auto", "needs_approval")


def admitted(ruling: Mapping[str, Any]) -> bool:
    return ruling.get("outcome") in ADMITTED


def rungs(ruling: Mapping[str, Any]) -> list[Rung]:
    """Return the chain that a stored ruling asks for."""
    return [
        Rung(
            asks=who(step["any_of"]),
            quorum=int(step.get("quorum", 1)),
            answer_within=duration(step.get("lapse_after_seconds", 0)),
        )
        for step in ruling.get("chain", ())
    ]


def sentences(ruling: Mapping[str, Any], *, missing: Sequence[str] = ()) -> list[Sentence]:
    """Return what a ruling says. `missing` are its sentences of refusal, where it refuses."""
    if not admitted(ruling):
        return [Sentence(text, "cross", "bad") for text in missing]
    found = []
    if ruling["outcome"] == "auto":
        found.append(Sentence("Nobody need approve: it starts as soon as you ask."))
    longest = ruling.get("max_duration_seconds", 0)
    found.append(Sentence(f"Up to {duration(longest)} is allowed.", "clock", "calm"))
    found += _obligations(ruling.get("obligations", {}))
    return found


def glass_sentences(ruling: Mapping[str, Any]) -> list[Sentence]:
    """Return what a ruling says of the break-glass that was made under it."""
    offer = ruling.get("break_glass") or {}
    due = duration(offer.get("review_due_seconds", 0))
    reviewers = offer.get("reviewers") or ()
    by = f" by {who(reviewers)}" if reviewers else ""
    return [
        Sentence("Nobody had to approve: the glass may be broken.", "bolt", "warn"),
        Sentence(
            f"Up to {duration(offer.get('max_duration_seconds', 0))} is allowed.", "clock", "calm"
        ),
        Sentence(f"Its use is reviewed within {due}{by}.", "eye", "calm"),
        *_obligations({**offer.get("obligations", {}), "review_after": False}),
    ]


def _obligations(owed: Mapping[str, Any]) -> list[Sentence]:
    found = []
    if owed.get("approval_strength") == "web_phishing_resistant":
        found.append(
            Sentence("Approvers confirm with their own second factor, on the web.", "lock", "calm")
        )
    age = owed.get("mfa_max_age_seconds")
    if age:
        text = f"Your second factor must be no older than {duration(age)} when it starts."
        found.append(Sentence(text, "lock", "calm"))
    if owed.get("on_ticket_closed") == "revoke":
        found.append(Sentence("It ends early if the ticket is closed.", "ticket", "calm"))
    if owed.get("record") == "required":
        found.append(Sentence("What you do with it is recorded.", "eye", "calm"))
    if owed.get("review_after"):
        found.append(Sentence("Its use is reviewed afterwards.", "eye", "calm"))
    return found


def conditions(clauses: Sequence[Mapping[str, Any]]) -> list[Condition]:
    """Return what `policy.weighed` says of a ruling, drawable. That a guardrail refused nothing
    is no merit, and its sentence, of a refusal, is then not true.
    """
    return [_condition(clause) for clause in clauses]


def _condition(clause: Mapping[str, Any]) -> Condition:
    guardrail, passed = clause["part"] == GUARDRAIL, clause["passed"]
    if passed is None:
        went, icon, tone = "not answered", "question", "calm"
    elif guardrail:
        went, icon, tone = (
            ("did not refuse", "minus", "calm") if passed else ("refused", "octagon", "bad")
        )
    else:
        went, icon, tone = ("held", "check", "ok") if passed else ("did not hold", "minus", "calm")
    kind = "needs"
    if guardrail:
        kind = "refuses if"
    elif clause["part"].startswith("break_glass"):
        kind = "break-glass needs"
    return Condition(
        rule=clause["rule"],
        kind=kind,
        text=" ".join(clause["text"].split()),
        values=tuple(f"{name} = {_value(name, one)}" for name, one in clause["values"].items()),
        went=went,
        icon=icon,
        tone=tone,
        message=clause["message"],
    )


def _value(name: str, value: object) -> str:
    if ATTRIBUTES[name].kind is Kind.DURATION:
        return duration(value)
    return json.dumps(value, ensure_ascii=False)
