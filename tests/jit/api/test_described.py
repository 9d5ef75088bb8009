"""The document decides: what it lets one send never gets a 400, and answers are as it says."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.response import Response

from jit.api.me import Me
from tests.support import described
from tests.support.world import World

ASK = {"justification": "It hangs.", "duration_seconds": 600, "role": "orders-db-reader"}


class TestAnswers:
    pytestmark = pytest.mark.django_db

    @pytest.mark.parametrize("sent", [{"more": 1}, {"id": 7}, {}])
    def test_that_are_not_as_described_fail_the_test_that_got_them(
        self, world: World, monkeypatch: pytest.MonkeyPatch, sent: dict[str, Any]
    ) -> None:
        rita = world.api("rita")
        whole = rita.get("me/").json()
        monkeypatch.setattr(Me, "get", lambda *_: Response((whole | sent) if sent else {}))
        with pytest.raises(described.NotAsDescribed):
            rita.get("me/")

    def test_of_an_undescribed_status_do_too(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rita = world.api("rita")
        monkeypatch.setattr(Me, "get", lambda *_: Response({}, status=418))
        with pytest.raises(described.NotAsDescribed, match="418"):
            rita.get("me/")


class TestRefusals:
    pytestmark = pytest.mark.django_db

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("requests/", {**ASK, "ticket": "0"}),
            ("requests/", {**ASK, "ticket": " "}),
            ("requests/", {**ASK, "ticket": "OPS-1", "starts_at": "2000-01-01T00:00:00Z"}),
            ("webhooks/", {"name": "0", "url": "0"}),
            ("notifications/read/", {"ids": None}),
            ("tickets/", {"title": " ", "severity": 1}),
        ],
    )
    def test_what_fits_the_document_never_gets_a_400(
        self, world: World, path: str, body: dict[str, Any]
    ) -> None:
        who = "opal" if path == "webhooks/" else "rita"
        assert world.api(who).post(path, body).status_code in {200, 201, 422}


class TestLinks:
    def test_lead_to_addresses_that_there_are(self) -> None:
        paths = described._document()["paths"]
        takes = {
            operation["operationId"]: path
            for path, methods in paths.items()
            for operation in methods.values()
        }
        links = [
            link
            for methods in paths.values()
            for operation in methods.values()
            for answer in operation["responses"].values()
            for link in answer.get("links", {}).values()
        ]
        assert len(links) > 50
        for link in links:
            (name,) = link["parameters"]
            assert f"{{{name}}}" in takes[link["operationId"]]
