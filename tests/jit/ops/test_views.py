"""The operational endpoints, as a probe and a stranger see them."""

from __future__ import annotations

import pytest

from jit.elevation import operations as elevation
from jit.kernel import db
from jit.ops import health, urls

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_urls(settings) -> None:
    settings.ROOT_URLCONF = "tests.jit.ops.test_views"


urlpatterns = urls.urlpatterns


class TestLivez:
    def test_answers_without_asking_anybody(self, client, django_assert_num_queries) -> None:
        with django_assert_num_queries(0):
            response = client.get("/livez")
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
        assert len(response.headers["X-Request-ID"]) == 32


class TestReadyz:
    def test_answers_with_each_check(self, client) -> None:
        elevation.note_heartbeat(work=elevation.SWEEP, now=db.now())
        response = client.get("/readyz")
        assert response.status_code == 200
        answer = response.json()
        assert answer["status"] == "ok"
        assert {check["name"]: check["ok"] for check in answer["checks"]} == {
            "database": True,
            "migrations": True,
            "clock": True,
            "broker": True,
            "sweep": True,
            "sealing": True,
            "targets": True,
            "gateways": True,
            "sessions": True,
        }

    def test_keeps_people_away_while_it_fails(self, client, monkeypatch) -> None:
        monkeypatch.setattr(health, "skew_seconds", lambda: 3.0)
        assert client.get("/readyz").status_code == 503

    def test_serves_on_without_its_broker_unless_asked_strictly(self, client, settings) -> None:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        assert client.get("/readyz").status_code == 200
        assert client.get("/readyz").json()["status"] == "degraded"
        assert client.get("/readyz?strict=1").status_code == 503


class TestPrometheus:
    def test_answers_in_its_format(self, client) -> None:
        response = client.get("/metrics")
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert b"\njit_database_up 1.0\n" in response.content


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
class TestAll:
    def test_are_nothing_to_a_stranger(self, client, path, settings) -> None:
        settings.TEMPLATES = []
        assert client.get(path, REMOTE_ADDR="203.0.113.9").status_code == 404
        assert client.get(path, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404

    def test_change_nothing(self, client, path) -> None:
        assert client.post(path).status_code == 405
        assert client.head(path).status_code == 200
