"""Whatever is handed out or made longer under a grant is asked for again: unknown is no yes."""

from __future__ import annotations

import ast
import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from jit.audit.models import AuditEvent
from jit.catalog.models import Role
from jit.connectors.base import Issued
from jit.elevation import provisioning
from jit.elevation.models import Grant
from jit.identity.models import User
from jit.kernel import clock
from jit.kernel.errors import DomainError
from jit.workflow import access, credential, extend
from sessions.operations import admission, certificates, entering
from tests.architecture.test_rules import named, sources
from tests.jit.policy.support import rule
from tests.jit.workflow.test_unknown_is_no_yes import (
    BY_GROUP,
    BY_ON_CALL,
    BY_TICKET,
    ON_CALL,
    PLACES,
    THE_GROUPS,
    Fault,
    resting_on,
    undone,
    unverified,
)
from tests.sessions import used
from tests.support.policies import put_in_force
from tests.support.world import READER, World

GIVERS = {
    "provisioning.provision", "provisioning.extend", "provisioning.open_credential",
    "tokens.issue", "signing.sign", "AccessSession", "access.still_holds",
}  # fmt: skip
"""What gives, opens or prolongs something, as its callers write it."""
ASKED_BY = {
    "jit/workflow/activate.py activate": "ask_again.before_activation",
    "jit/workflow/extend.py extend": "ask_again.before_extension",
    "jit/workflow/credential.py show": "require_usable",
    "sessions/operations/certificates.py certify": "require_usable",
    "jit/api/grants.py get": "access.still_holds",
    # What these hand out opens a session alone, which `admission.authorise` is asked for.
    "sessions/gateways/ssh/offer.py offer": "",
    "sessions/gateways/postgresql/offer.py offer": "",
    "sessions/operations/entering.py enter": "",
    # These are called by whoever has just been admitted.
    "sessions/operations/admission.py _open": "",
    "jit/workflow/reach.py reach": "",
}
"""Every place that hands something out, and what it asks first, where it asks itself."""


def _called(tree: ast.AST) -> set[str]:
    return {ast.unparse(call.func) for call in ast.walk(tree) if isinstance(call, ast.Call)}


def test_every_place_that_hands_something_out_is_in_the_list_and_asks() -> None:
    found = {}
    for path in sources():
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                called = _called(function)
                if called & GIVERS:
                    found[f"{named(path)} {function.name}"] = called
    assert set(found) == set(ASKED_BY)
    assert [place for place, asks in ASKED_BY.items() if asks and asks not in found[place]] == []


class Hands:
    """The acts that hand something out under `grant`: each returns what it handed out."""

    def __init__(self, world: World, grant: Grant, extension: Any, gateways: Any) -> None:
        self.world, self.extension, self.settings = world, extension, gateways
        self.pk = grant.pk
        self.caller = used.caller(grant)
        self.told = {"user": grant.user, "actor": world.actor("rita")}
        self.admitted = self._authorise(str(grant.pk), self.caller)

    def _authorise(self, wanted: str, caller: admission.Caller) -> admission.Admission:
        return admission.authorise(
            wanted=wanted, kind="postgresql", caller=caller, gateway=used.gateway()
        )

    def first_credential(self) -> object:
        self.settings.GATEWAYS = {}
        return credential.show(grant_id=self.pk, **self.told)

    def renewed_credential(self) -> object:
        Grant.objects.filter(pk=self.pk).update(credential=None)
        return self.first_credential()

    def password_for_the_gateway(self) -> object:
        self.settings.GATEWAYS = {"postgresql": "gateway.example.com:6432"}
        return credential.show(grant_id=self.pk, **self.told)

    def certificate(self) -> object:
        return certificates.certify(grant_id=self.pk, public_key="a key", **self.told)

    def session(self) -> object:
        return self._authorise(str(self.pk), self.caller)

    def session_by_role_name(self) -> object:
        return self._authorise(READER, self.caller)

    def web_terminal(self) -> object:
        entry = entering.enter(
            grant_id=self.pk, user=self.told["user"], source_address="", client=""
        )
        return entry and self.session()

    def more_in_a_session(self) -> object:
        return admission.holds_still(admitted=self.admitted, caller=self.caller)

    def word_to_an_enforcement_point(self) -> object:
        return access.still_holds(Grant.objects.get(pk=self.pk))

    def extension_of_it(self) -> object:
        before = Grant.objects.get(pk=self.pk).ends_at
        extend.extend(request_id=self.extension.pk)
        return Grant.objects.get(pk=self.pk).ends_at != before


ACTS = [name for name in vars(Hands) if not name.startswith("_")]


def signing_fake(*, grant: Grant, public_key: str) -> certificates.Signing:
    return certificates.Signing(public_key, lambda *_: "a certificate")


@pytest.fixture
def hands(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Hands:
    grant = world.grant(role=READER)
    extension = world.ask(role=READER, extends=grant.pk, duration_seconds=300)
    monkeypatch.setitem(
        certificates.CERTIFIERS, "postgresql", f"{__name__}.{signing_fake.__name__}"
    )
    issued = Issued(credential={"password": "a new one"})
    monkeypatch.setattr(provisioning, "provision", lambda **_: issued)
    monkeypatch.setattr(provisioning, "extend", lambda **_: None)
    return Hands(world, grant, extension, settings)


def _disabled(_hands: Hands) -> None:
    User.objects.filter(username="rita").update(is_active=False, disabled_at=clock.now())


def _retired(_hands: Hands) -> None:
    Role.objects.filter(slug=READER).update(enabled=False)


def _said(**parts: str) -> Callable[[Hands], None]:
    return lambda _hands: put_in_force(rule(**parts))


LOST: dict[str, Callable[[Hands], None]] = {
    "denied": _said(who="'false'"),
    "no rule": _said(match="{role.slug: another-role}"),
    "guardrail": lambda _hands: put_in_force(
        rule(), guardrails="[{id: g, description: d, match: {}, deny_when: 'true', message: no}]"
    ),
    "an error": _said(when="[{expr: '1 / (ticket.severity - ticket.severity) == 1', message: no}]"),
    "account": _disabled,
    "catalogue": _retired,
}
UNKNOWN: dict[str, tuple[Fault, list[str]]] = {
    **{f"on-call {how}": (fault, BY_ON_CALL) for how, fault in ON_CALL.items()},
    **{f"groups {how}": (fault, BY_GROUP) for how, fault in THE_GROUPS.items()},
}


def handed_out(hands: Hands, act: str) -> object:
    """Return what the act handed out; None where it was refused."""
    with contextlib.suppress(DomainError, RuntimeError):
        return getattr(hands, act)()
    return None


class TestHandedOut:
    def test_is_all_of_it_while_what_allowed_it_holds(self, hands: Hands) -> None:
        for act in ACTS:
            with undone():
                assert handed_out(hands, act), act

    def test_is_nothing_once_what_allowed_it_is_lost(self, hands: Hands) -> None:
        """A direct credential could be renewed for as long as the grant ran."""
        given = []
        for (how, lose), act in itertools.product(LOST.items(), ACTS):
            with undone():
                lose(hands)
                if handed_out(hands, act):
                    given.append((act, how))
        assert given == []

    @pytest.mark.parametrize("unknown", UNKNOWN)
    def test_is_nothing_where_nobody_knows(
        self, hands: Hands, monkeypatch: pytest.MonkeyPatch, unknown: str
    ) -> None:
        fault, clauses = UNKNOWN[unknown]
        given = []
        for place, clause, act in itertools.product(PLACES[:2], clauses, ACTS):
            with undone(), monkeypatch.context() as patch:
                resting_on(clause, place)
                fault(patch)
                if handed_out(hands, act):
                    given.append((act, place, clause))
        assert given == []

    def test_is_nothing_where_the_ticket_was_never_verified(self, hands: Hands) -> None:
        """But for an extension, which is asked for by its own ticket."""
        given = []
        acts = set(ACTS) - {"extension_of_it"}
        for place, clause, act in itertools.product(PLACES[:2], BY_TICKET, sorted(acts)):
            with undone():
                unverified(Grant.objects.get(pk=hands.pk))
                resting_on(clause, place)
                if handed_out(hands, act):
                    given.append((act, place, clause))
        assert given == []


def test_a_refusal_says_why_and_is_on_record(hands: Hands) -> None:
    LOST["guardrail"](hands)
    for act in ("renewed_credential", "certificate"):
        with pytest.raises(credential.NoCredentialNow, match="policy in force says no: no"):
            getattr(hands, act)()
    events = AuditEvent.objects.filter(action="grant.credential-refused", grant_id=hands.pk)
    assert events.count() == 2
