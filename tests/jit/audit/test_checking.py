"""A superuser can edit the tables, but not without being found."""

from __future__ import annotations

import pytest
from django.db import transaction

from jit.audit import checking, queries, verifier
from jit.audit import operations as audit
from jit.audit.checking import Outcome
from jit.audit.models import AuditEvent, AuditLeaf
from jit.audit.operations import Erasable, Links
from jit.kernel.actor import CLOCK
from jit.kernel.errors import NotFound
from tests.jit.audit.conftest import NOW, sign_in

pytestmark = pytest.mark.usefixtures("empty_log")


@pytest.fixture
def sealed(empty_log, write, seal) -> None:
    for _ in range(3):
        write(4, links=Links(person="rita"))
        seal()


def seq_of(index: int) -> int:
    return AuditLeaf.objects.get(idx=index).seq


class TestVerifyEvent:
    def test_shows_the_way_from_the_event_to_the_signed_root(self, sealed):
        found = checking.verify_event(seq=seq_of(5))
        assert found.valid, found.detail
        assert (found.index, found.size) == (5, 12)
        assert verifier.inclusion_holds(
            index=5,
            size=12,
            leaf=verifier.leaf_hash(bytes(AuditEvent.objects.get(seq=seq_of(5)).body)),
            proof=[bytes.fromhex(step) for step in found.path],
            root=bytes.fromhex(found.root),
        )

    def test_says_that_a_fresh_event_waits(self, sealed, write):
        assert checking.verify_event(seq=seq_of(0)).outcome is Outcome.VALID
        write(1)
        newest = AuditEvent.objects.order_by("-seq")[0]
        assert checking.verify_event(seq=newest.seq).outcome is Outcome.WAITING

    def test_says_that_nothing_is_sealed(self, write):
        write(1)
        assert queries.verify_event(AuditEvent.objects.get().seq).outcome is Outcome.WAITING

    def test_finds_an_edited_body(self, sealed, superuser):
        superuser.execute(
            "UPDATE audit_event SET body = replace(convert_from(body, 'UTF8'), 'rita', 'otto')"
            "::bytea WHERE seq = %s",
            [seq_of(3)],
        )
        assert checking.verify_event(seq=seq_of(3)).outcome is Outcome.NOT_VALID
        assert checking.verify_event(seq=seq_of(4)).valid

    def test_finds_a_body_edited_together_with_its_leaf(self, sealed, superuser):
        superuser.execute("UPDATE audit_event SET body = 'x' WHERE seq = %s", [seq_of(3)])
        superuser.execute("UPDATE audit_leaf SET leaf = sha256('\\x0078') WHERE idx = 3")
        found = checking.verify_event(seq=seq_of(3))
        assert (found.outcome, found.index) == (Outcome.NOT_VALID, 3)

    def test_finds_an_edited_search_column(self, sealed, superuser):
        superuser.execute("UPDATE audit_event SET actor_name = 'otto' WHERE seq = %s", [seq_of(3)])
        found = checking.verify_event(seq=seq_of(3))
        assert found.outcome is Outcome.NOT_VALID
        assert "actor_name" in found.detail

    def test_finds_a_forged_checkpoint(self, sealed, superuser):
        superuser.execute("UPDATE audit_checkpoint SET note = replace(note, '12', '11')")
        found = checking.verify_event(seq=seq_of(3))
        assert (found.outcome, found.detail) == (
            Outcome.NOT_VALID,
            "the signature of the checkpoint of 11 is wrong",
        )

    def test_finds_removed_leaves(self, sealed, superuser):
        superuser.execute("DELETE FROM audit_leaf WHERE idx = 4")
        assert checking.verify_event(seq=seq_of(5)).outcome is Outcome.NOT_VALID

    def test_knows_no_event_of_that_number(self, sealed):
        with pytest.raises(NotFound):
            checking.verify_event(seq=10**12)


class TestVerifyEverything:
    def bad(self) -> tuple[int | None, str]:
        found = checking.verify_everything()
        assert found.outcome is Outcome.NOT_VALID, found.detail
        return found.index, found.detail

    def test_finds_all_well(self, sealed):
        found = checking.verify_everything()
        assert found.valid, found.detail
        assert found.size == 12

    def test_waits_for_the_first_checkpoint(self):
        assert checking.verify_everything().outcome is Outcome.WAITING

    def test_reads_the_log_in_chunks(self, sealed, monkeypatch):
        monkeypatch.setattr(checking, "_CHUNK", 5)
        assert checking.verify_everything().valid

    def test_names_the_first_altered_event(self, sealed, superuser):
        for index in (9, 6):
            superuser.execute("UPDATE audit_event SET body = 'x' WHERE seq = %s", [seq_of(index)])
        index, detail = self.bad()
        assert (index, "was altered" in detail) == (6, True)

    def test_names_the_checkpoint_over_an_event_changed_with_its_leaf(self, sealed, superuser):
        superuser.execute(
            "UPDATE audit_event SET body = replace(convert_from(body, 'UTF8'), '\"number\":1', "
            "'\"number\":9')::bytea WHERE seq = %s",
            [seq_of(5)],
        )
        superuser.execute(
            "UPDATE audit_leaf SET leaf = (SELECT leaf FROM audit_event WHERE seq = %s) "
            "WHERE idx = 5",
            [seq_of(5)],
        )
        assert self.bad() == (None, "The events before 8 are not those of the checkpoint of 8.")

    def test_names_an_event_that_is_gone(self, sealed, superuser):
        superuser.execute("DELETE FROM audit_event WHERE seq = %s", [seq_of(7)])
        index, detail = self.bad()
        assert (index, "is gone" in detail) == (7, True)

    def test_names_an_event_gone_with_its_leaf(self, sealed, superuser):
        superuser.execute("DELETE FROM audit_event WHERE seq = %s", [seq_of(11)])
        superuser.execute("DELETE FROM audit_leaf WHERE idx = 11")
        index, detail = self.bad()
        assert (index, "leaf of event 11 is gone" in detail) == (11, True)

    def test_finds_an_event_put_in_among_the_sealed(self, sealed, superuser):
        superuser.execute(
            "INSERT INTO audit_event (txid, id, at, actor_kind, actor_id, actor_name, channel, "
            "action, subject_type, subject_id, target, role, person, body, words) "
            "SELECT '5', gen_random_uuid(), at, actor_kind, actor_id, actor_name, channel, "
            "action, subject_type, subject_id, target, role, person, body, words "
            "FROM audit_event LIMIT 1"
        )
        _, detail = self.bad()
        assert "was put in" in detail

    def test_finds_an_event_that_stands_twice(self, sealed, superuser):
        superuser.execute(
            "INSERT INTO audit_event (seq, id, at, actor_kind, actor_id, actor_name, channel, "
            "action, subject_type, subject_id, target, role, person, body, words) "
            "OVERRIDING SYSTEM VALUE "
            "SELECT seq, id, at + interval '1 second', actor_kind, actor_id, actor_name, channel, "
            "action, subject_type, subject_id, target, role, person, body, words "
            "FROM audit_event WHERE seq = %s",
            [seq_of(4)],
        )
        index, _ = self.bad()
        assert index == 4

    def test_finds_events_that_changed_places(self, sealed, superuser):
        first, second = seq_of(2), seq_of(3)
        superuser.execute("UPDATE audit_leaf SET seq = -1 WHERE idx = 2")
        superuser.execute("UPDATE audit_leaf SET seq = %s WHERE idx = 3", [first])
        superuser.execute("UPDATE audit_leaf SET seq = %s WHERE idx = 2", [second])
        index, _ = self.bad()
        assert index == 2

    def test_finds_an_edited_search_column(self, sealed, superuser):
        superuser.execute("UPDATE audit_event SET person = '' WHERE seq = %s", [seq_of(8)])
        index, detail = self.bad()
        assert (index, "person" in detail) == (8, True)

    def test_finds_a_checkpoint_rewritten_to_fit(self, sealed, superuser):
        superuser.execute("UPDATE audit_checkpoint SET note = 'x' WHERE size = 8")
        assert "checkpoint of 8" in self.bad()[1]


class TestErasure:
    def test_keeps_every_proof(self, seal):
        with transaction.atomic():
            sign_in(mail=Erasable("rita@example.org", person="7"))
        seal()
        event = AuditEvent.objects.get()
        assert checking.erasable_of(event) == {"body.mail": "rita@example.org"}
        before = checking.verify_event(seq=event.seq)
        with transaction.atomic():
            audit.erase(person="7", actor=CLOCK, now=NOW)
        assert checking.erasable_of(event) == {"body.mail": None}
        assert checking.verify_event(seq=event.seq) == before
        assert before.valid
        seal()
        assert checking.verify_everything().valid

    def test_finds_a_value_swapped_for_another(self, superuser):
        with transaction.atomic():
            sign_in(mail=Erasable("rita@example.org", person="7"))
        superuser.execute("UPDATE audit_erasable SET value = 'otto@example.org'")
        with pytest.raises(verifier.NotValid, match=r"body\.mail"):
            checking.erasable_of(AuditEvent.objects.get())
