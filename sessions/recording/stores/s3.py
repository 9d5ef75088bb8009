"""Recordings in S3 or what speaks like it: conditional writes, and Object Lock if asked for.

docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html and object-lock.html
"""

from __future__ import annotations

import datetime as dt
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
                self.client.put_object(
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

    def names(self, folder: str) -> list[str]:
        found: list[str] = []
        with _told(folder):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._key(folder)}/"):
                found += [
                    each["Key"].removeprefix(self._prefix) for each in page.get("Contents", [])
                ]
        return sorted(found)

    def get(self, name: str) -> bytes:
        with _told(name):
            answer = self.client.get_object(Bucket=self._bucket, Key=self._key(name))
            content: bytes = answer["Body"].read()
            return content

    def delete(self, name: str) -> None:
        """Delete every version: in a bucket with versions, deleting a name only hides it."""
        with _told(name):
            key = self._key(name)
            for version in self._versions(key):
                self.client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)
            self.client.delete_object(Bucket=self._bucket, Key=key)
            for marker in self._versions(key):
                self.client.delete_object(Bucket=self._bucket, Key=key, VersionId=marker)

    def _versions(self, key: str) -> list[str]:
        listed = self.client.list_object_versions(Bucket=self._bucket, Prefix=key)
        return [
            each["VersionId"]
            for each in [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]
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
