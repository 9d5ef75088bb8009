from __future__ import annotations

from enum import StrEnum

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from jit.audit.actions import ACTIONS
from jit.kernel.states import IllegalMove, Machine
from jit.ops.state_tables import machines


class Light(StrEnum):
    RED = "RED"
    GREEN = "GREEN"


LIGHT = Machine(
    name="light", initial=frozenset({Light.RED}), moves={(Light.RED, "lit"): Light.GREEN}
)


class TestTarget:
    def test_follows_the_table(self) -> None:
        assert LIGHT.target("RED", "lit") is Light.GREEN

    @pytest.mark.parametrize(
        ("source", "verb"), [("GREEN", "lit"), ("RED", "out"), ("BLUE", "lit")]
    )
    def test_refuses_what_the_table_has_not(self, source: str, verb: str) -> None:
        with pytest.raises(IllegalMove):
            LIGHT.target(source, verb)


class TestMachines:
    @pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.name)
    def test_every_verb_is_a_listed_audit_action(self, machine: Machine) -> None:
        assert {machine.action(verb) for verb in {*machine.verbs, "created"}} <= set(ACTIONS)

    @pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.name)
    def test_every_state_can_be_reached(self, machine: Machine) -> None:
        reached = set(machine.initial)
        while more := {t for (s, _), t in machine.moves.items() if s in reached} - reached:
            reached |= more
        every = {state for (s, _), t in machine.moves.items() for state in (s, t)}
        assert reached == every

    def test_the_wings_are_listed(self) -> None:
        assert {import_string(path).name for path in settings.STATE_MACHINES} >= {"chain", "step"}
