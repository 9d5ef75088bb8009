"""What the approver's pages say of a decision."""

from __future__ import annotations

import json
import re
from pathlib import Path

from django.http import HttpResponse
from django.test import Client

from jit.elevation.models import ElevationRequest
from tests.support import people
from tests.support.world import World

PART = {"HX-Request": "true"}
SCRIPTS = Path("jit/web/static/jit")


def decide(world: World, request: ElevationRequest, **typed: object) -> HttpResponse:
    ada = people.signed_in(Client(), world.user("ada"))
    return ada.post(f"/requests/{request.pk}/decide/", typed, headers=PART)


def said(answer: HttpResponse) -> str:
    """Return what the answer lets the page say, aloud to who can't see it."""
    return str(json.loads(answer.headers.get("HX-Trigger", "{}")).get("said", ""))


class TestDecide:
    def test_says_what_was_decided(self, world: World) -> None:
        assert said(decide(world, world.ask(), decision="approve")).startswith("Approved: ")

    def test_says_what_was_denied(self, world: World) -> None:
        answer = decide(world, world.ask(), decision="deny", comment="Not tonight.")
        assert said(answer).startswith("Denied: ")

    def test_a_refused_approval_does_not_say_approved(self, world: World) -> None:
        answer = decide(world, world.ask(), decision="approve", minutes=9999)
        assert answer.status_code == 422
        assert said(answer) == ""

    def test_a_refused_denial_does_not_say_denied(self, world: World) -> None:
        answer = decide(world, world.ask(), decision="deny", comment="")
        assert answer.status_code == 422
        assert said(answer) == ""

    def test_an_approval_beside_an_expired_form_is_a_refusal_beside_it(self, world: World) -> None:
        """A page of its own was drawn into the card, frame and menu and all."""
        ada = Client(enforce_csrf_checks=True)
        people.signed_in(ada, world.user("ada"))
        request = world.ask()
        answer = ada.post(f"/requests/{request.pk}/decide/", {"decision": "approve"}, headers=PART)
        assert answer.status_code == 403
        assert answer.headers["JIT-Problem"]
        assert b"<html" not in answer.content


class TestScripts:
    def test_no_success_is_told_by_transport(self) -> None:
        """An answer came is all that `successful` means: a refusal is an answer too."""
        for script in SCRIPTS.glob("*.js"):
            text = script.read_text(encoding="utf-8")
            assert not re.search(r"\.(successful|failed)\b", text), script
            assert "nothing was changed" not in text.lower(), script
