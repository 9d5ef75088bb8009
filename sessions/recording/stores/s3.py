"""Recordings in S3 or what speaks like it: conditional writes, and Object Lock if asked for.

What stands between us and the bucket may answer in its place (a sign-in page, a proxy, another
bucket's listing), and botocore takes most of that for S3's: so each answer is held against what
was asked.

docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html and object-lock.html
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from sessions.recording.stores.base import StoreFailed

_TIMEOUT = 10
_THERE_ALREADY = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_FINAL = {
    "AccessDenied",
    "NoSuchBucket",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "NoSuchKey",
}


class S3:
    """Objects under a prefix of one bucket. With a lock mode each carries its retention."""

    def __init__(self) -> None:
        self._bucket: str = settings.RECORDINGS_S3["bucket"]
        self._prefix: str = settings.RECORDINGS_S3["prefix"]
        self._lock: str = settings.RECORDINGS_S3["lock"]

    @cached_property
    def client(self) -> Any:
        given = settings.RECORDINGS_S3
        return boto3.client(
            "s3",
            endpoint_url=given["endpoint"] or None,
            region_name=given["region"] or None,
            aws_access_key_id=given["access_key"] or None,
            aws_secret_access_key=given["secret_key"] or None,
            config=Config(
                connect_timeout=_TIMEOUT,
                read_timeout=_TIMEOUT,
                retries={"max_attempts": 1},
                s3={"addressing_style": "path"} if given["endpoint"] else {},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def put(self, name: str, data: bytes, *, keep_until: dt.datetime | None) -> None:
        lock: dict[str, Any] = {}
        if self._lock and keep_until is not None:
            lock = {"ObjectLockMode": self._lock, "ObjectLockRetainUntilDate": keep_until}
        with _told(name):
            try:
                answer = self.client.put_object(
                    Bucket=self._bucket, Key=self._key(name), Body=data, IfNoneMatch="*",
                    ChecksumAlgorithm="SHA256", **lock,
                )  # fmt: skip
            except ClientError as refused:
                if refused.response["Error"]["Code"] not in _THERE_ALREADY:
                    raise
                if self.get(name) != data:
                    raise StoreFailed(
                        f"{name} holds something else already", permanent=True
                    ) from refused
            else:
                self._check_kept(name, data, said=answer.get("ChecksumSHA256"))

    def _check_kept(self, name: str, data: bytes, *, said: str | None) -> None:
        """Raise StoreFailed unless the store shows that it keeps these bytes: by their checksum,
        else by giving them back. The only other copy is deleted after this.
        """
        if said == base64.b64encode(hashlib.sha256(data).digest()).decode():
            return
        try:
            kept = self.get(name)
        except StoreFailed as lost:
            raise StoreFailed(f"{name} was taken, but can't be read: {lost}") from lost
        if kept != data:
            raise StoreFailed(f"{name} was taken, but what is kept is something else")

    def names(self, folder: str) -> list[str]:
        found: list[str] = []
        for page in self._pages(
            "list_objects_v2", f"{self._key(folder)}/", next_page="NextContinuationToken"
        ):
            found += [each["Key"] for each in page.get("Contents", [])]
        if not all(key.startswith(f"{self._key(folder)}/") for key in found):
            raise StoreFailed(f"S3 listed objects outside {folder}, so its list is not believed")
        return sorted(key.removeprefix(self._prefix) for key in found)

    def _pages(self, listing: str, prefix: str, *, next_page: str) -> Iterator[dict[str, Any]]:
        """Yield the pages of a list of what begins with `prefix`. Raises StoreFailed for one that
        is about something else, and where the rest is not to be had: a part is no list.
        """
        with _told(prefix):
            pages = self.client.get_paginator(listing)
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                if page.get("Prefix") != prefix:
                    raise StoreFailed(f"what answered is no list of {prefix}")
                if page.get("IsTruncated") and not page.get(next_page):
                    raise StoreFailed(f"the list of {prefix} is cut short")
                yield page

    def get(self, name: str) -> bytes:
        with _told(name):
            answer = self.client.get_object(Bucket=self._bucket, Key=self._key(name))
            content: bytes = answer["Body"].read()
            return content

    def delete(self, name: str) -> None:
        """Delete every version: in a bucket with versions, deleting a name only hides it. It is
        done when a list of them is empty, whatever the deletions were answered.
        """
        with _told(name):
            key = self._key(name)
            for version in self._versions(key):
                self.client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)
            self.client.delete_object(Bucket=self._bucket, Key=key)
            for marker in self._versions(key):
                self.client.delete_object(Bucket=self._bucket, Key=key, VersionId=marker)
            if self._versions(key):
                raise StoreFailed(f"{name} was deleted, and is still there")

    def _versions(self, key: str) -> list[str]:
        """Return the ids of its versions; other objects' names may begin with its name."""
        return [
            each["VersionId"]
            for page in self._pages("list_object_versions", key, next_page="NextKeyMarker")
            for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if each["Key"] == key
        ]

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except ClientError as refused:
        code = refused.response["Error"]["Code"]
        raise StoreFailed(f"S3 says {code} of {name}", permanent=code in _FINAL) from refused
    except BotoCoreError as away:
        raise StoreFailed(f"S3 can't be reached: {away}") from away
