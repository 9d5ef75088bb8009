"""What was asked of a bucket is what its answer must be about: the object, its bytes, the folder,
all pages, and that what was deleted is gone. What SeaweedFS never says a fake says here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from sessions.recording.stores.base import StoreFailed
from sessions.recording.stores.s3 import S3
from tests.standins import answers_fake
from tests.standins.answers_fake import FakeAnswers, Said

DATA = b"a piece of a recording"
SUM = {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(DATA).digest()).decode()}
OTHER_SUM = {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"no").digest()).decode()}
SIGN_IN = Said(b"<html><body>Sign in</body></html>", headers={"Content-Type": "text/html"})
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def listing(*keys: str, prefix: str = "prod/a/", more: str = "") -> Said:
    found = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
    return Said(
        f"<ListBucketResult {NAMESPACE}><Name>ours</Name><Prefix>{prefix}</Prefix>"
        f"{more or '<IsTruncated>false</IsTruncated>'}{found}</ListBucketResult>".encode()
    )


def versions(*ids: str, prefix: str = "prod/a/1", more: str = "") -> Said:
    found = "".join(
        f"<Version><Key>prod/a/1</Key><VersionId>{each}</VersionId></Version>" for each in ids
    )
    return Said(
        f"<ListVersionsResult {NAMESPACE}><Name>ours</Name><Prefix>{prefix}</Prefix>"
        f"{more or '<IsTruncated>false</IsTruncated>'}{found}</ListVersionsResult>".encode()
    )


@pytest.fixture
def fake() -> Iterator[FakeAnswers]:
    with answers_fake.running() as state:
        yield state


@pytest.fixture
def store(fake: FakeAnswers, settings: Any) -> S3:
    settings.RECORDINGS_S3 = {
        "bucket": "ours",
        "prefix": "prod/",
        "endpoint": fake.url,
        "region": "us-east-1",
        "access_key": "k",
        "secret_key": "s",
        "lock": "",
    }
    return S3()


class TestPut:
    @pytest.mark.parametrize(
        ("said", "kept"),
        [(Said(headers=SUM), Said(status=404)), (Said(), Said(DATA)), (SIGN_IN, Said(DATA))],
        ids=["with the checksum", "without one, but kept", "odd, but kept"],
    )
    def test_is_done_when_the_answer_or_the_store_shows_the_bytes(
        self, fake: FakeAnswers, store: S3, said: Said, kept: Said
    ) -> None:
        fake.table = {"PUT": said, "GET": kept}
        store.put("a/1", DATA, keep_until=None)

    @pytest.mark.parametrize(
        ("said", "kept"),
        [
            (SIGN_IN, SIGN_IN),
            (Said(), Said(b"")),
            (Said(), Said(status=404)),
            (Said(headers=OTHER_SUM), Said(DATA[:-1])),
            (Said(status=204), Said(b"something else")),
        ],
        ids=["a sign-in page", "an empty one", "nothing there", "another sum", "other bytes"],
    )
    def test_whoever_says_200_to_all_has_kept_no_recording(
        self, fake: FakeAnswers, store: S3, said: Said, kept: Said
    ) -> None:
        fake.table = {"PUT": said, "GET": kept}
        with pytest.raises(StoreFailed) as refused:
            store.put("a/1", DATA, keep_until=None)
        assert not refused.value.permanent

    @pytest.mark.parametrize("status", [301, 302, 307])
    def test_a_redirect_is_not_followed(self, fake: FakeAnswers, store: S3, status: int) -> None:
        with answers_fake.running() as elsewhere:
            elsewhere.table = {"PUT": Said(headers=SUM), "GET": Said(DATA)}
            to = {"Location": f"{elsewhere.url}/ours/prod/a/1"}
            fake.table = {"PUT": Said(status=status, headers=to)}
            with pytest.raises(StoreFailed):
                store.put("a/1", DATA, keep_until=None)
            assert elsewhere.asked == []


class TestNames:
    def test_are_those_of_all_pages(self, fake: FakeAnswers, store: S3) -> None:
        first = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
        fake.table = {"GET": [listing("prod/a/2", more=first), listing("prod/a/1")]}
        assert store.names("a") == ["a/1", "a/2"]

    def test_of_an_empty_folder_are_none(self, fake: FakeAnswers, store: S3) -> None:
        fake.table = {"GET": listing()}
        assert store.names("a") == []

    @pytest.mark.parametrize(
        "said",
        [
            listing("prod/a/1", "prod/b/1"),
            listing("prod/a/1", "staging/a/1"),
            listing("prod/ab/1"),
            listing("prod/a/1", prefix=""),
            listing(prefix="prod/b/"),
            listing("prod/a/1", more="<IsTruncated>true</IsTruncated>"),
            Said(f"<Other {NAMESPACE}/>".encode()),
            Said(b""),
            SIGN_IN,
            Said(b"<Error><Code>SlowDown</Code><Message>no</Message></Error>"),
        ],
        ids=[
            "another folder's too", "another prefix's too", "a longer folder's", "of everything",
            "of another folder", "cut", "another document", "empty", "a sign-in page", "an error",
        ],
    )  # fmt: skip
    def test_of_anything_but_the_folder_are_unknown(
        self, fake: FakeAnswers, store: S3, said: Said
    ) -> None:
        """Retention deletes what is listed: another session's recording among it."""
        fake.table = {"GET": said}
        with pytest.raises(StoreFailed):
            store.names("a")


class TestDelete:
    def test_takes_the_versions_of_all_pages(self, fake: FakeAnswers, store: S3) -> None:
        cut = "<IsTruncated>true</IsTruncated><NextKeyMarker>prod/a/1</NextKeyMarker>"
        fake.table = {
            "GET": [versions("v1", more=cut), versions("v2"), versions()],
            "DELETE": Said(status=204),
        }
        store.delete("a/1")
        deleted = [each for each in fake.asked if each.startswith("DELETE")]
        assert [each.partition("versionId=")[2] for each in deleted] == ["v1", "v2", ""]

    @pytest.mark.parametrize(
        "said",
        [
            versions("v1"),
            versions(more="<IsTruncated>true</IsTruncated>"),
            versions(prefix="prod/b/1"),
            Said(f"<Other {NAMESPACE}/>".encode()),
        ],
        ids=["still there", "cut", "of another object", "another document"],
    )
    def test_is_not_done_while_a_version_may_be_there(
        self, fake: FakeAnswers, store: S3, said: Said
    ) -> None:
        fake.table = {"GET": said, "DELETE": Said(status=204)}
        with pytest.raises(StoreFailed):
            store.delete("a/1")
