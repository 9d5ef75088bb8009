"""What a copy of a request shows: drawn from the database, never from the last drawing."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from approvals.slack import blocks as b
from approvals.slack import config, limits
from approvals.slack.models import Audience, SlackMessage
from approvals.slack.text import duration
from approvals.states import StepState, Verdict
from jit.elevation.models import ElevationRequest, Grant
from jit.elevation.states import GrantState, RequestState
from jit.identity.models import User
from jit.notifications import wording
from jit.workflow.ports import ChainView, StepView

QUOTED = 1200
PAST = 3
RECORDINGS = 3
CLICKABLE = frozenset({"slack", "slack_with_recent_step_up"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A request as it is now, with all that its copies show."""

    row: ElevationRequest
    chain: ChainView | None
    grant: Grant | None
    past: tuple[ElevationRequest, ...]
    now: dt.datetime
    recordings: tuple[str, ...] = ()
    """Addresses, for whoever may see them: the page asks who comes."""
    why_withdrawn: str = ""

    @property
    def open_step(self) -> StepView | None:
        steps = self.chain.steps if self.chain else ()
        return next((step for step in steps if step.state == StepState.OPEN), None)

    @property
    def strength(self) -> str:
        return str(self.row.ruling.get("obligations", {}).get("approval_strength", "slack"))

    def fingerprint(self) -> str:
        """Return what changes whenever a copy could look different."""
        grant, chain = self.grant, self.chain
        facts = [
            self.row.state,
            self.row.granted_seconds,
            [
                [s.state, s.candidates, s.stand_ins, len(s.decisions)]
                for s in (chain.steps if chain else ())
            ],
            [grant.state, str(grant.ends_at), grant.end_reason] if grant else None,
            self.recordings[:RECORDINGS],
        ]
        return _digest(facts)


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is sent: `text` is the fallback for notifications and holds nobody's own words."""

    text: str
    blocks: list[b.Block]

    def digest(self) -> str:
        return _digest([self.text, self.blocks])


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def draw(*, copy: SlackMessage, shot: Snapshot, viewer: User | None, linked: bool) -> Drawing:
    """Return the drawing of one copy. `linked` says whether the viewer's clicks would count."""
    if copy.audience == Audience.APPROVER and viewer is not None:
        drawing = _for_approver(copy, shot, viewer, linked=linked)
    elif copy.audience == Audience.REQUESTER:
        drawing = _for_requester(shot)
    else:
        drawing = _for_channel(shot)
    limits.check_message(drawing.blocks, drawing.text)
    return drawing


def headline(shot: Snapshot) -> str:
    """Return in a few words where the request stands."""
    row, grant = shot.row, shot.grant
    if row.state == RequestState.PENDING:
        return "Approval asked"
    if row.state != RequestState.APPROVED:
        return {"DENIED": "Denied", "WITHDRAWN": "Withdrawn", "LAPSED": "Lapsed"}[row.state]
    if row.extends_id:
        return "Extension approved"
    return {
        None: "Approved",
        GrantState.SCHEDULED: "Approved, not yet active",
        GrantState.ACTIVATING: "Approved, not yet active",
        GrantState.ACTIVE: "Active",
        GrantState.REVOKING: "Ending",
        GrantState.ENDED: "Ended",
        GrantState.WITHDRAWN: "Withdrawn",
    }[GrantState(grant.state) if grant else None]


def _fallback(shot: Snapshot) -> str:
    return f"{headline(shot)}: {shot.row.role.slug} for {shot.row.requester.username}"


def _for_approver(copy: SlackMessage, shot: Snapshot, viewer: User, *, linked: bool) -> Drawing:
    may = may_answer(shot, viewer)
    return Drawing(
        text=_fallback(shot),
        blocks=[
            b.header(f"{headline(shot)}: {shot.row.role.slug}"),
            b.lines(*_ask(shot)),
            b.quote(shot.row.justification, QUOTED),
            b.lines(*_standing(shot)),
            *([b.lines(*_why_you(shot, viewer), *_past(shot))] if may else []),
            *([b.context(_how(shot.strength, linked=linked))] if may else []),
            b.actions(*_buttons(copy, shot, may=may, linked=linked), *_recordings(shot)),
        ],
    )


def _for_requester(shot: Snapshot) -> Drawing:
    live = shot.grant is not None and shot.grant.state == GrantState.ACTIVE
    done = [b.button("Done, take it back", "done", value=_grant_value(shot))] if live else []
    return Drawing(
        text=_fallback(shot),
        blocks=[
            b.header(f"{headline(shot)}: {shot.row.role.slug}"),
            b.lines(*_standing(shot)),
            b.actions(*done, _open(shot), *_recordings(shot)),
        ],
    )


def _for_channel(shot: Snapshot) -> Drawing:
    """A channel has many readers: no justification, no ticket text, no buttons that decide."""
    return Drawing(
        text=_fallback(shot),
        blocks=[
            b.header(f"{headline(shot)}: {shot.row.role.slug}"),
            b.lines(
                b.fact("Who", shot.row.requester.username),
                b.fact("For", duration(shot.row.granted_seconds)),
                *_standing(shot),
            ),
            b.actions(_open(shot)),
        ],
    )


# --- The parts -------------------------------------------------------------------------


def _window(row: ElevationRequest) -> list[b.Element]:
    """Return the window that was planned: nothing is given after it, however late the yes."""
    if row.starts_at is None or row.planned_end is None:
        return []
    lapses = b.word(", when it lapses" if row.state == RequestState.PENDING else "")
    return [
        b.word(", from "),
        b.moment(row.starts_at),
        b.word(" until "),
        b.moment(row.planned_end),
        lapses,
    ]


def _ask(shot: Snapshot) -> list[list[b.Element]]:
    row, role = shot.row, shot.row.role
    who = row.requester
    asked = duration(row.granted_seconds)
    if row.granted_seconds < row.duration_seconds:
        asked += f" (of {duration(row.duration_seconds)} asked for)"
    name = f"{who.display_name} ({who.username})" if who.display_name else who.username
    return [
        b.fact("Who", b.word(name, limit=150)),
        b.fact("Role", b.word(f"{role.slug} on {role.target.slug} ({role.target.env})", limit=250)),
        b.fact("It can", b.word(role.description or role.name, limit=300)),
        b.fact("For", asked, *_window(row)),
        b.fact("Risk", role.risk),
        *_ticket(row),
    ]


def _ticket(row: ElevationRequest) -> list[list[b.Element]]:
    ticket = row.ticket
    parts = [b.word(row.ticket_key or ticket.get("key") or "none", limit=100)]
    known = [
        str(ticket["status"]) if ticket.get("status") else "",
        f"severity {ticket['severity']}" if ticket.get("severity") else "",
        f"assigned to {ticket['assignee']}" if ticket.get("assignee") else "",
    ]
    if any(known):
        parts.append(b.word(" · " + " · ".join(one for one in known if one), limit=200))
    if ticket.get("title"):
        parts.append(b.word(f" · {ticket['title']}", limit=200))
    if ticket.get("known") is False:
        parts.append(b.word(" · could not be checked"))
    elif ticket.get("fetched_at"):
        parts += [b.word(" · as of "), b.moment(dt.datetime.fromisoformat(ticket["fetched_at"]))]
    return [b.fact("Ticket", *parts)]


def _standing(shot: Snapshot) -> list[list[b.Element]]:
    """Return where the request stands: who said what and when, and what is waited for."""
    rows: list[list[b.Element]] = []
    for step in shot.chain.steps if shot.chain else ():
        for decision in step.decisions:
            said = "Denied" if decision.verdict == Verdict.DENY else "Approved"
            who = decision.approver
            if decision.on_behalf_of:
                who += f" for {decision.on_behalf_of}"
            less = f", {duration(decision.duration_seconds)}" if decision.duration_seconds else ""
            rows.append(b.fact(said, f"by {who}{less} · ", b.moment(decision.decided_at)))
            if decision.comment:
                rows.append(b.fact("Comment", b.word(decision.comment, limit=300)))
    return [*rows, *_now(shot)] or [b.fact("State", shot.row.state.lower())]


def _now(shot: Snapshot) -> list[list[b.Element]]:
    row, step, grant = shot.row, shot.open_step, shot.grant
    if row.state == RequestState.PENDING and step is not None and shot.chain is not None:
        voices = sum(1 for one in step.decisions if one.verdict == Verdict.APPROVE)
        who = ", ".join(_as(step, name) for name in step.candidates[:12]) or "nobody any more"
        return [
            b.fact(
                "Waiting",
                f"step {step.position} of {len(shot.chain.steps)}, {voices} of {step.quorum} heard",
            ),
            b.fact("Can answer", b.word(who, limit=600)),
            b.fact("Answer by", b.moment(step.lapses_at or row.lapses_at)),
        ]
    if row.state in {RequestState.LAPSED, RequestState.WITHDRAWN} and row.closed_at:
        late = "its planned time ended" if row.is_over(row.closed_at) else "nobody answered in time"
        what = late if row.state == RequestState.LAPSED else (shot.why_withdrawn or "taken back")
        return [b.fact(headline(shot), f"{what} · ", b.moment(row.closed_at))]
    if row.state == RequestState.APPROVED and shot.chain is None:
        allowed = "the glass was broken: nobody was asked" if row.break_glass else "by policy"
        return [b.fact("Approved", allowed), *_of(grant)]
    return _of(grant)


def _of(grant: Grant | None) -> list[list[b.Element]]:
    if grant is None:
        return []
    if grant.state == GrantState.ACTIVE and grant.ends_at:
        return [b.fact("Active until", b.moment(grant.ends_at, "{date_short_pretty} {time_secs}"))]
    if grant.state in {GrantState.SCHEDULED, GrantState.ACTIVATING}:
        why = grant.waiting_for or "being given"
        return [b.fact("Not yet active", b.word(why, limit=300))]
    ended = grant.revocation_verified_at or grant.revoking_since
    words = wording.END_REASONS.get(grant.end_reason, grant.end_reason or "ended")
    return [b.fact(headline_of(grant), f"{words} · ", *([b.moment(ended)] if ended else []))]


def headline_of(grant: Grant) -> str:
    return "Ending" if grant.state == GrantState.REVOKING else "Ended"


def _as(step: StepView, name: str) -> str:
    """Return who answers as people see it: "ada", or "ada for bo" where ada stands in."""
    absent = [whose for stand_in, whose in step.stand_ins if stand_in == name]
    return f"{name} for {' or '.join(absent)}" if absent else name


def _why_you(shot: Snapshot, viewer: User) -> list[list[b.Element]]:
    step = shot.open_step
    if step is None:
        return []
    asked = " or ".join(one.partition(":")[2] or one for one in step.any_of)
    absent = [whose for stand_in, whose in step.stand_ins if stand_in == viewer.username]
    you = f", and you stand in for {' and '.join(absent)}" if absent else ""
    others = [_as(step, name) for name in step.candidates if name != viewer.username]
    return [
        b.fact("Why you", b.word(f"this step asks {asked}{you}", limit=300)),
        b.fact("Else", b.word(", ".join(others[:12]) or "nobody but you", limit=400)),
    ]


def _past(shot: Snapshot) -> list[list[b.Element]]:
    found = [f"{one.role.slug} {one.state.lower()}" for one in shot.past[:PAST]]
    return [b.fact("Asked before", b.word(" · ".join(found) or "never", limit=400))]


def _how(strength: str, *, linked: bool) -> str:
    if strength not in CLICKABLE:
        return "This role is approved on the web, with a second factor: press Open."
    if not linked:
        return "To answer here, link this Slack account first. You can answer on the web now."
    if strength == "slack_with_recent_step_up":
        return "A click counts only shortly after your second factor; else answer on the web."
    return "Your answer is recorded under your name, as on the web."


def may_answer(shot: Snapshot, viewer: User) -> bool:
    """Return whether this person is asked now: by the open step, for somebody else's request,
    and has not spoken in this chain.
    """
    step = shot.open_step
    spoken = shot.chain is not None and any(
        viewer.username in {decision.approver, decision.on_behalf_of}
        for one in shot.chain.steps
        for decision in one.decisions
    )
    return (
        shot.row.state == RequestState.PENDING
        and step is not None
        and viewer.username in step.candidates
        and viewer.person_id != shot.row.requester.person_id
        and not spoken
    )


def _buttons(copy: SlackMessage, shot: Snapshot, *, may: bool, linked: bool) -> Sequence[b.Element]:
    step = shot.open_step
    if not may or step is None:
        return [_open(shot)]
    if not linked:
        return [
            b.button("Open and answer", "open", url=_url(shot), style="primary"),
            b.button("Link Slack", "link", url=config.page("account/slack/")),
        ]
    value = button_value(copy.handle, step.id)
    deny = b.button("Deny…", "deny", value=value, style="danger")
    if shot.strength not in CLICKABLE:
        return [_open(shot)]
    return [
        b.button(
            f"Approve for {duration(shot.row.granted_seconds)}",
            "approve",
            value=value,
            style="primary",
        ),
        b.button("Approve for less…", "less", value=value),
        deny,
        _open(shot),
    ]


def button_value(handle: str, step_id: UUID) -> str:
    """Return what a button carries: the copy's opaque handle and the step it was drawn for."""
    return f"{handle}.{step_id.hex}"


def _grant_value(shot: Snapshot) -> str:
    return shot.grant.pk.hex if shot.grant else ""


def _url(shot: Snapshot) -> str:
    return config.page(f"requests/{shot.row.pk}/")


def _recordings(shot: Snapshot) -> list[b.Element]:
    """Return a link to each recording of what was done, the first ones of many."""
    shown = shot.recordings[:RECORDINGS]
    many = len(shown) > 1
    return [
        b.button(f"Recording {place}" if many else "Recording", f"recording-{place}", url=address)
        for place, address in enumerate(shown, start=1)
    ]


def _open(shot: Snapshot) -> b.Element:
    return b.button("Open", "open", url=_url(shot))
