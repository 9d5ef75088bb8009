"""nginx in front of the web nodes, as docs/howto/operate.md says to set it up."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jit.ops.embedded import ground
from tests.support import folders
from tests.support.processes import ROOT, until

PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
HOST = "127.0.0.1"
_DOC = ROOT / "docs/howto/operate.md"
_TOLD = "X-Forwarded-Proto $scheme"
_PASSED_ON = "X-Forwarded-Proto $http_x_forwarded_proto"
_FRAME = """daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""


@dataclass(frozen=True)
class Proxy:
    """One that runs: it calls those behind it from `address`."""

    address: str
    behind: int
    """The port of whom it calls, on loopback."""
    tls: bool = True
    """Whether people come to it; else another proxy does, which ended TLS."""
    port: int = field(default_factory=ground.free_port)
    folder: Path = field(default_factory=lambda: folders.passing("nginx"))

    def trusting(self) -> ssl.SSLContext:
        """Return what a client that knows its certificate verifies by."""
        return ssl.create_default_context(cafile=self.folder / "crt")

    def site(self) -> str:
        """Return the doc's own text with the addresses, ports and files of here."""
        text = _DOC.read_text(encoding="utf-8").partition("```nginx\n")[2].partition("```")[0]
        places = {
            "server 10.0.0.11:8000;": f"server {HOST}:{self.behind};",
            "listen 443 ssl;": f"listen {HOST}:{self.port}{' ssl' * self.tls};",
            "/etc/nginx/jit.crt": f"{self.folder}/crt",
            "/etc/nginx/jit.key": f"{self.folder}/key",
            "server_name jit.corp.example;": f"server_name {HOST}; proxy_bind {self.address};",
        }
        if not self.tls:
            assert _PASSED_ON in _DOC.read_text(encoding="utf-8")
            places[_TOLD] = _PASSED_ON
        for said, here in places.items():
            assert text.count(said) == 1, said
            text = text.replace(said, here)
        return text


@contextlib.contextmanager
def running(proxy: Proxy) -> Iterator[Proxy]:
    """Run it, in one process, until the block ends."""
    if not PROGRAM:
        raise RuntimeError("there is no nginx: apt-get install nginx")
    _certify(proxy.folder)
    frame = _FRAME.format(folder=proxy.folder, site=proxy.site())
    (proxy.folder / "conf").write_text(frame, encoding="utf-8")
    argv = [PROGRAM, "-p", str(proxy.folder), "-c", str(proxy.folder / "conf"), "-e", "stderr"]
    with listening("nginx", argv, port=proxy.port, folder=proxy.folder):
        yield proxy


@contextlib.contextmanager
def listening(
    name: str,
    argv: Sequence[str],
    *,
    port: int,
    folder: Path,
    environment: dict[str, str] | None = None,
) -> Iterator[None]:
    """Run a server in the block, which begins once it takes connections."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            # It ends with whoever runs the test, even by `kill -9`.
            ["setpriv", "--pdeathsig", "TERM", *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
        )
    try:
        assert until(lambda: process.poll() is not None or _takes_connections(port))
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait(10)


def _takes_connections(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _certify(folder: Path) -> None:
    """Make a key, and its certificate for this machine, of a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
