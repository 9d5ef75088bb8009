"""Hosts fetch the list of revoked certificates, unasked who they are."""

from __future__ import annotations

import pytest
from django.test import Client

from jit.catalog.models import Target
from jit.connectors.ssh import krl

pytestmark = pytest.mark.django_db


@pytest.fixture
def there(tmp_path):
    path = tmp_path / "web-1.krl"
    krl.replace(path, krl.written(krl.Krl(1, 0)), mode=0o644)
    Target.objects.create(slug="web-1", name="web-1", kind="ssh", config={"krl": str(path)})
    return path


class TestSshKrl:
    def test_answers_with_the_list_and_304_to_whoever_has_it(self, there):
        first = Client().get("/ssh/krl/web-1")
        assert first.content == there.read_bytes()
        again = Client().get("/ssh/krl/web-1", headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        krl.replace(there, krl.written(krl.Krl(2, 0)), mode=0o644)
        changed = Client().get("/ssh/krl/web-1", headers={"If-None-Match": first["ETag"]})
        assert changed.status_code == 200
        assert krl.read(changed.content).version == 2

    def test_says_later_rather_than_nothing_while_it_is_missing(self, there):
        there.unlink()
        assert Client().get("/ssh/krl/web-1").status_code == 503

    def test_serves_no_other_targets_files(self, there):
        Target.objects.create(slug="orders-db", name="x", kind="postgresql", config={"krl": "/x"})
        for slug in ("orders-db", "nothing"):
            assert Client().get(f"/ssh/krl/{slug}").status_code == 404

    def test_takes_nothing(self, there):
        assert Client().post("/ssh/krl/web-1").status_code == 405
