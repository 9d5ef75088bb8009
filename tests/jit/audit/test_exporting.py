"""What an auditor is handed comes from the tables as they are, and shows what was done to them."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command

from jit.audit import evidence, exporting, signing, verifier
from jit.audit import operations as audit
from jit.audit.models import AuditCheckpoint, AuditEvent
from jit.audit.operations import Links
from jit.audit.proofs import NotSealedYet
from jit.kernel.errors import NotFound
from tests.jit.audit.archives import bad, changed, flip
from tests.jit.audit.conftest import NOW, sign_in

pytestmark = pytest.mark.usefixtures("empty_log")
REQUEST = uuid.uuid4()


@pytest.fixture
def log(empty_log, write, seal) -> None:
    """Twelve events under checkpoints of 4, 8 and 12."""
    for _ in range(3):
        write(4, links=Links(request_id=REQUEST), text="one\ntwo \u2028 three")
        seal()


@pytest.fixture
def export(log, tmp_path) -> Callable[..., Path]:
    def make(since: int = 0) -> Path:
        path: Path = tmp_path / f"export-{since}.zip"
        with path.open("wb") as file:
            exporting.export(out=file, since=since, now=NOW)
        return path

    return make


class TestExport:
    @pytest.mark.parametrize("since", [0, 4, 8, 12])
    def test_is_valid(self, export, since: int):
        path = export(since)
        report = verifier.verify(path, keys=[signing.signer().key])
        assert (report.events, report.checkpoint.size) == (12 - since, 12)
        if since < 12:
            assert bad(changed(path, events=flip(1)))[0] == since + 1

    def test_of_a_rewritten_history_is_found_by_the_kept_checkpoint(
        self, export, superuser, seal, write
    ):
        """The holder of the key itself rewrote the log and signed it all again."""
        kept = AuditCheckpoint.objects.get(size=8).note
        superuser.execute("TRUNCATE audit_event, audit_leaf, audit_node, audit_checkpoint")
        write(12)
        seal()
        forged = export()
        assert verifier.verify(forged, keys=[signing.signer().key]).events == 12
        assert "checkpoint of 8" in bad(forged, kept=kept)[1]

    def test_needs_a_checkpoint_to_start_from(self, log):
        with pytest.raises(NotFound, match="5 events"):
            exporting.export(out=io.BytesIO(), since=5, now=NOW)

    def test_needs_something_sealed(self):
        with pytest.raises(NotFound, match="nothing to export"):
            exporting.export(out=io.BytesIO(), now=NOW)

    def test_shows_an_event_that_a_superuser_removed(self, export, superuser):
        superuser.execute(
            "DELETE FROM audit_event WHERE seq = (SELECT seq FROM audit_leaf WHERE idx = 5)"
        )
        index, sentence = bad(export())
        assert (index, sentence) == (5, "event 5 is missing")

    def test_writes_in_chunks_what_it_would_write_at_once(self, export, monkeypatch):
        whole = export().read_bytes()
        monkeypatch.setattr(exporting, "_CHUNK", 5)
        with zipfile.ZipFile(io.BytesIO(whole)) as one, zipfile.ZipFile(export()) as many:
            for name in ("events.jsonl", "leaves.bin"):
                assert one.read(name) == many.read(name)

    def test_survives_a_change_of_the_key(self, export, settings, tmp_path, write, seal):
        old = signing.signer().key
        path = tmp_path / "new.pem"
        path.write_bytes(
            Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        settings.AUDIT_KEY_FILE = str(path)
        write(1)
        seal()
        exported = export()
        assert verifier.verify(exported, keys=[old, signing.signer().key]).events == 13
        assert "known key" in bad(exported, keys=[old])[1]


class TestEvidenceOfRequest:
    def test_proves_each_event_beyond_one_tile_of_256(self, seal, tmp_path):
        with audit.batch():
            for number in range(530):
                sign_in(number=number, links=Links(request_id=REQUEST))
        seal()
        path = tmp_path / "evidence.json"
        path.write_text(json.dumps(evidence.evidence_of_request(REQUEST, now=NOW)))
        assert verifier.verify(path).events == 530

    def test_counts_what_is_not_sealed_yet(self, log, write):
        write(2, links=Links(request_id=REQUEST))
        pack = evidence.evidence_of_request(REQUEST, now=NOW)
        assert (len(pack["events"]), pack["not_sealed_yet"]) == (12, 2)

    def test_waits_for_the_sealer(self):
        with pytest.raises(NotSealedYet):
            evidence.evidence_of_request(REQUEST, now=NOW)


class TestTheCommands:
    def test_export_writes_a_file_for_its_owner_alone_and_says_so_in_the_log(self, log, tmp_path):
        out, said = tmp_path / "audit.zip", io.StringIO()
        call_command("audit_export", out=out, stdout=said)
        assert out.stat().st_mode & 0o777 == 0o600
        assert str(signing.signer().key) in said.getvalue()
        assert verifier.verify(out).events == 12
        event = AuditEvent.objects.get(action="audit.exported")
        assert event.content["body"] == {"since": 0, "size": 12, "file": "audit.zip"}

    def test_export_leaves_nothing_behind_when_it_fails(self, log, tmp_path):
        with pytest.raises(CommandError, match="No checkpoint"):
            call_command("audit_export", out=tmp_path / "audit.zip", since=5)
        assert list(tmp_path.iterdir()) == []

    def test_verify_tells_good_from_bad(self, export, capsys):
        path = export()
        call_command("audit_verify", str(path))
        assert "valid: 12 events" in capsys.readouterr().out
        with pytest.raises(SystemExit) as left:
            call_command("audit_verify", str(changed(path, events=flip(3))))
        assert left.value.code == 1

    def test_verify_checks_the_database(self, log, superuser):
        said = io.StringIO()
        call_command("audit_verify", database=True, stdout=said)
        assert "valid: All 12" in said.getvalue()
        superuser.execute("DELETE FROM audit_event")
        with pytest.raises(SystemExit):
            call_command("audit_verify", database=True, stdout=said)

    def test_verify_needs_one_thing_to_check(self):
        with pytest.raises(CommandError, match="Name a file"):
            call_command("audit_verify")
