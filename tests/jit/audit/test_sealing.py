"""Every committed event is sealed once, in an order that never changes."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from jit.audit import checking, log, queries, sealing, signing, tasks, verifier
from jit.audit import operations as audit
from jit.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditNode
from jit.audit.proofs import StoredTree
from tests.jit.audit.conftest import NOW, sign_in

pytestmark = pytest.mark.usefixtures("empty_log")


def run(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def thread_of(work: Any, errors: list[BaseException]) -> threading.Thread:
    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 -- told to the test's own thread
            errors.append(error)
        finally:
            connection.close()

    return threading.Thread(target=guarded)


class TestSeal:
    def test_gives_each_event_its_place_and_signs_the_tree(self, write, seal):
        write(5)
        assert seal() == 5
        assert list(AuditLeaf.objects.order_by("idx").values_list("idx", flat=True)) == [*range(5)]
        checkpoint = AuditCheckpoint.objects.get(size=5)
        key = signing.signer().key
        signed = verifier.opened(checkpoint.note, [key])
        frontier = verifier.Frontier()
        for event in AuditEvent.objects.order_by("seq"):
            frontier.append(log.leaf_hash(bytes(event.body)))
        assert (signed.origin, signed.size, signed.root) == (
            "jit.local/audit",
            5,
            frontier.root(),
        )
        assert signed.more == ("at 2026-11-23T12:00:00.000000Z",)

    def test_goes_on_where_it_stopped(self, write, seal):
        write(3)
        seal()
        write(4)
        assert seal() == 4
        assert checking.verify_everything().valid
        assert AuditCheckpoint.objects.order_by("-id")[0].size == 7

    def test_works_in_batches_and_stores_whole_tiles(self, write, seal, monkeypatch):
        monkeypatch.setattr(sealing, "A_BATCH", 100)
        with audit.batch():
            for number in range(600):
                sign_in(number=number)
        seal()
        assert [row.size for row in AuditCheckpoint.objects.order_by("id")] == [
            *range(100, 601, 100)
        ]
        assert list(AuditNode.objects.values_list("level", "idx").order_by("idx")) == [
            (8, 0),
            (8, 1),
        ]
        last = AuditCheckpoint.objects.get(size=600)
        assert log.range_hash(0, 600, StoredTree().read) == bytes(last.root)

    def test_signs_nothing_new_while_nothing_happens(self, write, seal):
        write(1)
        seal()
        sealing.seal(now=NOW + dt.timedelta(minutes=9, seconds=59))
        assert AuditCheckpoint.objects.count() == 1

    def test_signs_the_silence_after_ten_minutes(self, write, seal):
        write(1)
        seal()
        at = NOW + dt.timedelta(minutes=10)
        assert sealing.seal(now=at) == 0
        first, second = AuditCheckpoint.objects.order_by("id")
        assert (second.size, bytes(second.root)) == (first.size, bytes(first.root))
        assert "at 2026-11-23T12:10:00.000000Z" in second.note
        assert checking.verify_everything().valid
        write(1)
        seal(at)
        assert checking.verify_everything().valid

    def test_signs_the_empty_log_too(self):
        assert sealing.seal(now=NOW) == 0
        assert AuditCheckpoint.objects.get().size == 0
        assert checking.verify_everything().valid

    def test_leaves_an_event_whose_transaction_still_runs(self, write, seal):
        started, go_on = threading.Event(), threading.Event()
        errors: list[BaseException] = []

        def slow() -> None:
            with transaction.atomic():
                sign_in(number=1)
                started.set()
                assert go_on.wait(30)

        thread = thread_of(slow, errors)
        thread.start()
        assert started.wait(30)
        write(3)  # committed, but after the slow one in the order of the log
        assert sealing.seal(now=NOW) == 0
        go_on.set()
        thread.join(30)
        assert seal() == 4
        assert errors == []
        first = AuditLeaf.objects.get(idx=0)
        assert AuditEvent.objects.get(seq=first.seq).content["body"] == {"number": 1}

    def test_loses_no_event_of_eight_writers_that_commit_in_another_order(self, seal):
        errors: list[BaseException] = []
        done = threading.Event()

        def writer(own: int) -> None:
            for number in range(30):
                # As real work does: a change first, the event later, the commit later still.
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute("SELECT pg_current_xact_id(), pg_sleep(random() * 0.004)")
                    sign_in(writer=own, number=number)
                    cursor.execute("SELECT pg_sleep(random() * 0.004)")

        def sealer() -> None:
            while not done.is_set():
                sealing.seal(now=NOW)

        sealers = [thread_of(sealer, errors) for _ in range(2)]
        for thread in sealers:
            thread.start()
        run([thread_of(lambda own=own: writer(own), errors) for own in range(8)])
        done.set()
        for thread in sealers:
            thread.join(60)
        seal()
        assert errors == []
        assert AuditEvent.objects.count() == AuditLeaf.objects.count() == 240
        assert queries.lag(now=NOW).waiting == 0
        sequence = list(AuditLeaf.objects.order_by("idx").values_list("seq", flat=True))
        assert sequence != sorted(sequence)  # else this test proved nothing
        found = checking.verify_everything()
        assert found.valid, found.detail

    def test_transaction_ids_sorted_as_text(self, write, seal, superuser):
        write(2)
        superuser.execute("UPDATE audit_event SET txid = (98 + seq)::text::xid8")  # 99 and 100
        assert seal() == 2
        assert list(AuditLeaf.objects.order_by("idx").values_list("seq", flat=True)) == [1, 2]

    def test_stands_back_for_a_sealer_at_work(self, write):
        write(2)
        held, go_on = threading.Event(), threading.Event()
        errors: list[BaseException] = []

        def other() -> None:
            with transaction.atomic():
                sealing.db.lock_until_commit(sealing.LOCK)
                held.set()
                assert go_on.wait(30)

        thread = thread_of(other, errors)
        thread.start()
        assert held.wait(30)
        assert sealing.seal(now=NOW) == 0
        assert AuditCheckpoint.objects.count() == 0
        go_on.set()
        thread.join(30)
        assert errors == []

    def test_two_at_once_seal_each_event_once(self, write, seal):
        write(20)
        start = threading.Barrier(2)
        errors: list[BaseException] = []

        def race() -> None:
            start.wait(30)
            sealing.seal(now=NOW)

        run([thread_of(race, errors) for _ in range(2)])
        seal()
        assert errors == []
        assert AuditLeaf.objects.count() == 20
        assert checking.verify_everything().valid

    def test_goes_on_after_a_dump_was_loaded_into_a_new_cluster(self, write, seal, superuser):
        """A new cluster counts transactions from the start: its events sort before old ones."""
        write(3)
        seal()
        write(2)  # not sealed when the dump was taken
        far = "9000000000000000"
        superuser.execute(f"UPDATE audit_event SET txid = ({far} + seq)::text::xid8")
        superuser.execute(f"UPDATE audit_checkpoint SET last_txid = ({far} + 3)::text::xid8")
        write(2)  # the first of the new cluster
        for _ in range(4):
            seal()
        write(2)
        seal()
        assert list(AuditLeaf.objects.order_by("idx").values_list("seq", flat=True)) == [
            *range(1, 10)
        ]
        found = checking.verify_everything()
        assert found.valid, found.detail

    def test_needs_a_key(self, settings, write):
        settings.AUDIT_KEY_FILE = ""
        with pytest.raises(ImproperlyConfigured, match="JIT_AUDIT_KEY_FILE"):
            sealing.seal(now=NOW)


class TestTasks:
    def test_are_known_by_the_names_of_the_schedule(self, settings):
        names = {tasks.seal.name, tasks.tidy_words.name, tasks.ensure_partitions.name}
        assert names == {"jit.audit.seal", "jit.audit.tidy_words", "jit.audit.ensure_partitions"}
        assert names <= set(settings.CELERY_BEAT_SCHEDULE)

    def test_seal(self, write, seal):
        write(1)
        tasks.seal()
        seal()
        assert AuditLeaf.objects.count() == 1

    def test_tidy_words_files_what_the_next_writer_would_have_to(self, write):
        tasks.tidy_words()
        write(1)
        assert tasks.tidy_words() >= 1
        assert tasks.tidy_words() == 0

    def test_ensure_partitions_ring_for_events_outside_them(self, caplog):
        tasks.ensure_partitions()  # A new month may have begun since the tables were made.
        caplog.clear()
        assert tasks.ensure_partitions() == 0
        assert caplog.records == []
        with transaction.atomic():
            sign_in(now=dt.datetime(2071, 1, 1, tzinfo=dt.UTC))
        tasks.ensure_partitions()
        assert "outside every month" in caplog.text


class TestLag:
    def test_counts_from_the_oldest_event_that_waits(self, write, seal):
        assert queries.lag(now=NOW) == queries.Lag(0, 0.0, None)
        write(2)
        after = NOW + dt.timedelta(seconds=30)
        assert queries.lag(now=after) == queries.Lag(2, 30.0, None)
        seal()
        assert queries.lag(now=after) == queries.Lag(0, 0.0, 30.0)
