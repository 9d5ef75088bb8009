"""Taking the log out through the page, and the searches that people keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from jit.audit import download, sealing, signing, verifier
from jit.audit.models import AuditEvent
from jit.identity.models import SavedView
from jit.kernel import clock
from tests.support.world import World


def taken(answer: Any, folder: Path) -> Path:
    """Return the file that the browser would have written."""
    assert answer.status_code == 200, answer.content
    name = answer.headers["Content-Disposition"].partition('filename="')[2].rstrip('"')
    path = folder / name
    path.write_bytes(b"".join(answer) if answer.streaming else answer.content)
    return path


@pytest.mark.django_db(transaction=True)
class TestExport:
    @pytest.fixture(autouse=True)
    def _sealed(self, world: World) -> None:
        world.ask()
        connection.ensure_connection()
        sealing.seal(now=clock.now())

    def test_of_everything_is_what_the_verifier_takes(
        self, at: Callable[[str], Client], tmp_path: Path
    ) -> None:
        path = taken(at("udo").post("/audit/export/"), tmp_path)
        assert path.suffix == ".zip"
        report = verifier.verify(path, keys=[signing.signer().key])
        event = AuditEvent.objects.get(action="audit.exported")
        assert event.content["body"] == {"since": 0, "size": report.events}
        assert (event.actor_name, event.channel) == ("udo", "web")

    def test_of_a_search_holds_what_was_found_and_proves_it(
        self, at: Callable[[str], Client], tmp_path: Path
    ) -> None:
        wanted = {"action": "request.created", "person": "rita"}
        path = taken(at("udo").post("/audit/export/", wanted), tmp_path)
        report = verifier.verify(path, keys=[signing.signer().key])
        assert (report.events, report.about) == (1, "evidence of a search")
        pack = json.loads(path.read_bytes())
        assert json.loads(pack["events"][0]["event"])["action"] == "request.created"
        event = AuditEvent.objects.get(action="audit.exported")
        assert event.content["body"] == {"events": 1, "filters": wanted}
        pack["events"][0]["event"] = pack["events"][0]["event"].replace("rita", "otto")
        path.write_text(json.dumps(pack))
        with pytest.raises(verifier.NotValid):
            verifier.verify(path)

    def test_is_for_whoever_may(self, at: Callable[[str], Client]) -> None:
        for name in ("rita", "opal", "olga"):
            assert at(name).post("/audit/export/").status_code == 403
            assert b"Export" not in at(name).get("/audit/").content
        assert b"Export everything" in at("udo").get("/audit/").content
        assert not AuditEvent.objects.filter(action="audit.exported").exists()

    def test_of_nothing_or_too_much_says_what_to_do(
        self, at: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        udo = at("udo")
        assert udo.post("/audit/export/", {"q": "zebra"}).status_code == 404
        assert udo.post("/audit/export/", {"request": "x"}).status_code == 400
        monkeypatch.setattr(download, "MOST_FOUND", 1)
        monkeypatch.setattr(download, "MOST_WHOLE", 1)
        found = udo.post("/audit/export/", {"person": "rita"})
        assert found.status_code == 400
        assert b"narrow the search" in found.content
        assert b"manage.py audit_export" in udo.post("/audit/export/").content
        assert not AuditEvent.objects.filter(action="audit.exported").exists()

    def test_comes_with_the_program_that_checks_it(
        self, at: Callable[[str], Client], tmp_path: Path
    ) -> None:
        path = taken(at("rita").get("/audit/verifier/"), tmp_path)
        assert path.read_bytes() == Path(verifier.__file__).read_bytes()


class TestSavedViews:
    def test_are_opened_and_deleted_by_their_owner(self, at: Callable[[str], Client]) -> None:
        udo = at("udo")
        saved = udo.post(
            "/audit/views/", {"name": " Rita's  asks ", "person": "rita", "q": "", "x": "y"}
        )
        assert saved.headers["Location"] == "/audit/?person=rita"
        page = udo.get("/audit/", {"person": "rita"})
        assert b'href="?person=rita" aria-current="true">Rita&#x27;s asks</a>' in page.content
        view = SavedView.objects.get()
        assert b">asks<" not in at("rita").get("/audit/").content
        assert at("rita").post(f"/audit/views/{view.pk}/delete/").status_code == 404
        assert udo.post(f"/audit/views/{view.pk}/delete/").headers["Location"] == "/audit/"
        assert udo.post(f"/audit/views/{view.pk}/delete/").status_code == 404
        assert not SavedView.objects.exists()

    def test_of_one_name_are_one(self, at: Callable[[str], Client]) -> None:
        udo = at("udo")
        for person in ("rita", "ada"):
            udo.post("/audit/views/", {"name": "mine", "person": person})
        assert SavedView.objects.get().wanted == {"person": "ada"}

    @pytest.mark.parametrize(
        ("typed", "status"),
        [
            ({"name": "", "q": "x"}, 400),
            ({"name": " \0 ", "q": "x"}, 400),
            ({"name": "x" * 61, "q": "x"}, 400),
            ({"name": "nothing"}, 400),
            ({"name": "nul", "q": "\0"}, 400),
        ],
    )
    def test_that_keep_nothing_are_refused(
        self, at: Callable[[str], Client], typed: dict[str, str], status: int
    ) -> None:
        assert at("udo").post("/audit/views/", typed).status_code == status
        assert not SavedView.objects.exists()

    def test_are_not_without_end(
        self, at: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jit.identity.operations.saved_views.MOST", 1)
        udo = at("udo")
        udo.post("/audit/views/", {"name": "one", "q": "x"})
        assert udo.post("/audit/views/", {"name": "two", "q": "x"}).status_code == 409
        assert udo.post("/audit/views/", {"name": "one", "q": "y"}).status_code == 302

    def test_show_hostile_names_as_words(self, at: Callable[[str], Client]) -> None:
        udo = at("udo")
        udo.post("/audit/views/", {"name": "<b>\u202eme", "q": "<i>"})
        page = udo.get("/audit/", {"q": "<i>"}).content.decode()
        assert "&lt;b&gt;" in page
        assert "<b>" not in page
        assert "\u202e" not in page
