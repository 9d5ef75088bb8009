"""A real S3 server (SeaweedFS) on loopback for a test run, with keys of its own."""

from __future__ import annotations

import atexit
import ctypes
import functools
import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from jit.ops.embedded import ground

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_PORTS = ("master", "volume", "filer", "s3")


@dataclass(frozen=True)
class Server:
    """Where it answers and with what keys."""

    endpoint: str
    access_key: str
    secret_key: str

    def client(self) -> boto3.client:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(
                connect_timeout=2,
                read_timeout=5,
                retries={"max_attempts": 0},
                s3={"addressing_style": "path"},
            ),
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


@functools.cache
def server() -> Server:
    """Start it on first use; it ends with this process, however that ends."""
    folder = Path(tempfile.mkdtemp(prefix="jit-test-s3-"))
    access, secret = secrets.token_hex(8), secrets.token_hex(16)
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    ports = {f"{name}{grpc}": ground.free_port() for name in _PORTS for grpc in ("", ".grpc")}
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "weed"), "-logtostderr=true", "server",
            f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3",
            f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-s3.localSocket={folder / 's3.sock'}", f"-filer.localSocket={folder / 'filer.sock'}",
            "-master.volumeSizeLimitMB=64", "-volume.max=100", "-master.telemetry=false",
            *(
                f"-{name}.port{'.grpc' if grpc else ''}={ports[f'{name}{grpc}']}"
                for name in _PORTS
                for grpc in ("", ".grpc")
            ),
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 -- it calls prctl and nothing else
    )  # fmt: skip

    log.close()

    def stop() -> None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    made = Server(f"http://127.0.0.1:{ports['s3']}", access, secret)
    end, pause = time.monotonic() + 60, threading.Event()
    while True:
        try:
            made.client().list_buckets()
        except (BotoCoreError, ClientError) as away:
            if process.poll() is not None or time.monotonic() > end:
                told = (folder / "log").read_text(encoding="utf-8")[-2000:]
                raise RuntimeError(f"SeaweedFS did not start: {told}") from away
            pause.wait(0.2)
        else:
            return made


def bucket(*, lock: bool) -> str:
    """Make a new bucket, with Object Lock or without, and return its name."""
    name = f"recordings-{secrets.token_hex(6)}"
    server().client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
    return name
