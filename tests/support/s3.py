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
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from jit.ops.embedded import ground

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_PORTS = ("master", "volume", "filer", "s3")


@dataclass(eq=False)
class Server:
    """Where it answers and with what keys; it can be killed and started again."""

    endpoint: str
    access_key: str
    secret_key: str
    folder: Path
    argv: list[str]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def start(self) -> None:
        """Start it and return when it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 -- it calls prctl and nothing else
            )
        end, pause = time.monotonic() + 60, threading.Event()
        while True:
            try:
                self.client().list_buckets()
            except (BotoCoreError, ClientError) as away:
                if self._process.poll() is not None or time.monotonic() > end:
                    told = (self.folder / "log").read_text(encoding="utf-8")[-2000:]
                    raise RuntimeError(f"SeaweedFS did not start: {told}") from away
                pause.wait(0.2)
            else:
                return

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        """End it for good."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

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
    made = Server(
        f"http://127.0.0.1:{ports['s3']}", access, secret, folder,
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
    )  # fmt: skip
    atexit.register(made.stop)
    made.start()
    return made


def bucket(*, lock: bool) -> str:
    """Make a new bucket, with Object Lock or without, and return its name."""
    name = f"recordings-{secrets.token_hex(6)}"
    server().client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
    return name
