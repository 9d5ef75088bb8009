"""The description of the interface is made once, however often strangers ask for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from django.test import Client

from jit.api import description


class TestSchema:
    @pytest.mark.django_db
    def test_anonymous_calls_cost_nothing_after_the_first(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each took two seconds of a core, and nobody counted them."""
        made = []
        whole = description.Schema.generator_class.get_schema

        def counted(self: Any, *args: Any, **more: Any) -> Any:
            made.append(more)
            return whole(self, *args, **more)

        monkeypatch.setattr(description, "_made", {})
        monkeypatch.setattr(description.Schema.generator_class, "get_schema", counted)
        answers = [Client().get("/api/v1/schema/", {"version": n}) for n in range(5)]
        assert len(made) == 1
        assert {answer.content for answer in answers} == {answers[0].content}
        described = yaml.safe_load(answers[0].content)
        as_json = Client().get("/api/v1/schema/", headers={"Accept": "application/json"})
        assert json.loads(as_json.content)["paths"].keys() == described["paths"].keys()
