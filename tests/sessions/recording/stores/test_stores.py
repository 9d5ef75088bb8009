"""One suite for every store, and what S3 alone can promise (on a real SeaweedFS)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from jit.kernel import clock
from sessions.recording.stores.base import Store, StoreFailed
from sessions.recording.stores.filesystem import FileSystem
from sessions.recording.stores.s3 import S3
from tests.support import s3


def settings_of(bucket: str, **more: str) -> dict[str, str]:
    server = s3.server()
    return {
        "bucket": bucket,
        "prefix": "prod/",
        "endpoint": server.endpoint,
        "region": "us-east-1",
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        "lock": "",
    } | more


class AnyStore:
    """What every store must do."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    def test_gives_back_what_was_put(self, store: Store) -> None:
        store.put("a/1", b"one", keep_until=None)
        assert store.get("a/1") == b"one"

    def test_lists_a_folder_in_order(self, store: Store) -> None:
        for name in ("b/2", "b/1", "bb/3"):
            store.put(name, b"x", keep_until=None)
        assert store.names("b") == ["b/1", "b/2"]
        assert store.names("nothing") == []

    def test_the_same_again_is_fine_and_anything_else_is_refused_for_good(
        self, store: Store
    ) -> None:
        store.put("c/1", b"one", keep_until=None)
        store.put("c/1", b"one", keep_until=None)
        with pytest.raises(StoreFailed, match="something else") as refused:
            store.put("c/1", b"two", keep_until=None)
        assert refused.value.permanent
        assert store.get("c/1") == b"one"

    def test_what_is_not_there_is_told(self, store: Store) -> None:
        with pytest.raises(StoreFailed):
            store.get("d/1")

    def test_deletes_for_good_and_twice(self, store: Store) -> None:
        store.put("e/1", b"one", keep_until=None)
        store.delete("e/1")
        store.delete("e/1")
        assert store.names("e") == []


class TestFileSystem(AnyStore):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return FileSystem(tmp_path / "recordings")

    def test_an_unwritable_folder_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreFailed):
            FileSystem(tmp_path / "file").put("a/1", b"", keep_until=None)


class TestS3(AnyStore):
    @pytest.fixture
    def store(self, settings: Any) -> Store:
        settings.RECORDINGS_S3 = settings_of(s3.bucket(lock=False))
        return S3()

    def test_a_server_that_is_away_is_no_final_refusal(self, settings: Any) -> None:
        settings.RECORDINGS_S3 = settings_of("any", endpoint="http://127.0.0.1:9")
        with pytest.raises(StoreFailed, match="reached") as refused:
            S3().put("a/1", b"", keep_until=None)
        assert not refused.value.permanent


class TestObjectLock:
    def test_nobody_deletes_before_the_time_is_over(self, settings: Any) -> None:
        bucket = s3.bucket(lock=True)
        settings.RECORDINGS_S3 = settings_of(bucket, lock="COMPLIANCE")
        store, client = S3(), s3.server().client()
        until = clock.now() + dt.timedelta(days=2)
        store.put("a/1", b"one", keep_until=until)
        version = client.list_object_versions(Bucket=bucket)["Versions"][0]["VersionId"]
        kept = client.get_object_retention(Bucket=bucket, Key="prod/a/1")["Retention"]
        assert kept["Mode"] == "COMPLIANCE"
        assert abs((kept["RetainUntilDate"] - until).total_seconds()) < 2
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket=bucket, Key="prod/a/1", VersionId=version)
        with pytest.raises(StoreFailed, match="AccessDenied"):
            store.delete("a/1")
        assert store.get("a/1") == b"one"
        store.put("a/1", b"one", keep_until=until)
        with pytest.raises(StoreFailed, match="something else"):
            store.put("a/1", b"two", keep_until=until)
