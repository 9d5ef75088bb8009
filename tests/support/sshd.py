"""A real OpenSSH server on a free loopback port, which trusts a throw-away authority of ours.

    with Sshd() as host:
        person = host.client(key_id="jit_1", principals=["web"])
        assert person.ssh("id -un").stdout.strip() == host.login

It has a host key with a certificate of a host CA, a CA for users, a principals file for each
account, and a key revocation list. Started by root, it runs under an unprivileged account unless
`as_root=True`; as anybody else it runs under that person's account.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import grp
import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from jit.connectors.ssh import keys, krl
from jit.connectors.ssh.authority import Authority
from jit.kernel import clock
from jit.ops.embedded import ground
from tests.support import folders

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server")
_SHELLS = {"/bin/bash", "/bin/sh", "/usr/bin/bash"}
_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
HostCertificate {folder}/host-cert.pub
PidFile none
LogLevel VERBOSE
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile none
TrustedUserCAKeys {folder}/user-ca.pub
AuthorizedPrincipalsFile {folder}/principals/%u
RevokedKeys {krl}
Subsystem sftp {sftp}
"""


def account(*, as_root: bool) -> pwd.struct_passwd:
    """Return whom people log in as: ourselves, or, for root, an account with a shell."""
    if as_root or os.geteuid() != 0:
        return pwd.getpwnam(getpass.getuser())
    for known in [*(e for e in pwd.getpwall() if e.pw_name == "postgres"), *pwd.getpwall()]:
        if known.pw_uid and known.pw_shell in _SHELLS:
            return known
    raise RuntimeError("this system has no unprivileged account with a shell: useradd one")


class Sshd:
    """One server. `extra` lines of configuration go before its own, which wins by the first."""

    def __init__(
        self,
        *,
        as_root: bool = False,
        name: str = "web-1",
        krl_file: Path | None = None,
        user_ca: Authority | None = None,
        host_ca: Authority | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.host = "127.0.0.1"
        self.user_ca = user_ca or new_authority()
        self.host_ca = host_ca or new_authority()
        self.user_ca_key = keys.private_text(self.user_ca._key)
        self.folder = folders.passing("sshd")
        self.krl = krl_file or self.folder / "revoked.krl"
        self.port = ground.free_port()
        self._account = account(as_root=as_root)
        self.login = self._account.pw_name
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None
        self._write()

    # --- Its life ------------------------------------------------------------------------

    def start(self) -> Self:
        """Start it and wait until it answers."""
        if not SSHD:
            raise RuntimeError("there is no sshd: apt-get install openssh-server")
        self._configure()
        other = os.geteuid() == 0 and self._account.pw_uid != 0
        if os.geteuid() == 0 and not other:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Its privilege separation's.
        if other:
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # It ends with whoever runs the test, even by `kill -9`.
                ["setpriv", "--pdeathsig", "TERM", SSHD, "-D", "-e", "-f", self.folder / "config"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._account.pw_uid if other else None,
                group=self._account.pw_gid if other else None,
                # Where devpts gives terminals no group, sshd hands them to this one itself.
                extra_groups=[grp.getgrnam("tty").gr_gid] if other else None,
                start_new_session=True,
                cwd="/",
            )
        end = time.monotonic() + 10
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"sshd did not start:\n{self.log()}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Stop the server and everything that its connections run."""
        if self._process is None:
            return
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)
        self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as probe:
                return probe.recv(4) == b"SSH-"
        except OSError:
            return False

    def _configure(self, *, krl_file: Path | None = None) -> None:
        sftp = next((path for path in SFTP_SERVERS if Path(path).exists()), "internal-sftp")
        own = _CONFIG.format(
            port=self.port, folder=self.folder, krl=krl_file or self.krl, sftp=sftp
        )
        (self.folder / "config").write_text("\n".join(self._extra) + "\n" + own)

    def _write(self) -> None:
        self.folder.chmod(0o755)
        (self.folder / "principals").mkdir(mode=0o755)
        host = keys.read_private(keys.new_private_key())
        self.host_key = keys.public_line(host)
        (self.folder / "host").write_text(keys.private_text(host))
        (self.folder / "host").chmod(0o600)
        (self.folder / "user-ca.pub").write_text(self.user_ca.public_key + "\n")
        self.certify_host(self.host_ca, [self.name])
        if not self.krl.exists():
            self.revoke()

    # --- What it is told -----------------------------------------------------------------

    def certify_host(self, by: Authority, names: Sequence[str]) -> None:
        """Give the host key a certificate; a running server reads it when started again."""
        line = by.sign_host(public_key=self.host_key, names=names, now=clock.now())
        (self.folder / "host-cert.pub").write_text(line + "\n")

    def allow(self, *principals: str, login: str = "") -> None:
        """Let certificates with these principals in, and no others."""
        path = self.folder / "principals" / (login or self.login)
        path.write_text("".join(f"{name}\n" for name in principals))
        path.chmod(0o644)

    def trust(self, *authorities: Authority) -> None:
        """Trust these user CAs and no others."""
        lines = "".join(f"{each.public_key}\n" for each in authorities)
        (self.folder / "user-ca.pub").write_text(lines)

    def revoke(self, *, key_ids: Sequence[str] = (), serials: Sequence[int] = ()) -> None:
        """Refuse these certificates and no others."""
        made = krl.Krl(
            version=time.time_ns(),
            generated=int(time.time()),
            key_ids=frozenset(key_ids),
            serials=frozenset(serials),
        )
        krl.replace(self.krl, krl.written(made), mode=0o644)

    def read_list(self, krl_file: Path) -> None:
        """Read the list of what is revoked from another file from now on; what is open stays."""
        assert self._process
        told = self.log().count("Server listening")
        self._configure(krl_file=krl_file)
        os.kill(self._process.pid, signal.SIGHUP)
        end = time.monotonic() + 10
        while self.log().count("Server listening") == told:
            assert time.monotonic() < end, self.log()
            time.sleep(0.01)

    # --- What it shows -------------------------------------------------------------------

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def processes(self) -> list[int]:
        """Return the server's process and all that descend from it, the server first."""
        if self._process is None or self._process.poll() is not None:
            return []
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(stat.parent.name))
        found = [self._process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    # --- Those who connect ---------------------------------------------------------------

    def known_hosts(self, *, by: Authority | None = None) -> str:
        """Return the line by which a client knows this host."""
        return f"@cert-authority * {(by or self.host_ca).public_key}\n"

    def client(
        self,
        *,
        key_id: str = "jit_somebody",
        principals: Sequence[str] = ("web",),
        by: Authority | None = None,
        seconds: float = 300,
        **more: Any,
    ) -> Client:
        """Return somebody with a fresh key and a certificate for it."""
        private = keys.new_private_key()
        now = clock.now() - dt.timedelta(seconds=more.pop("ago", 0))
        line = (by or self.user_ca).sign_user(
            public_key=keys.public_line(keys.read_private(private)),
            key_id=key_id,
            principals=principals,
            now=now,
            valid_for_seconds=seconds,
            extensions=more.pop("extensions", ["permit-pty", "permit-port-forwarding"]),
            **more,
        )
        return Client(
            private_key=private,
            certificate=line,
            login=self.login,
            host=self.host,
            port=self.port,
            alias=self.name,
            known_hosts=self.known_hosts(),
        )


@dataclass
class Client:
    """The real `ssh` with one key, one certificate and one idea of who the host is."""

    private_key: str
    certificate: str
    login: str
    host: str
    port: int
    alias: str
    known_hosts: str

    def __post_init__(self) -> None:
        self.folder = folders.passing("ssh-client")
        for name, content in (
            ("id", self.private_key),
            ("id-cert.pub", self.certificate + "\n"),
            ("known_hosts", self.known_hosts),
        ):
            (self.folder / name).write_text(content)
            (self.folder / name).chmod(0o600)

    def options(self) -> list[str]:
        """Return the options that ssh, scp and sftp take alike."""
        told = {
            "IdentityFile": self.folder / "id",
            "CertificateFile": self.folder / "id-cert.pub",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self.folder / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "HostKeyAlias": self.alias,
            "BatchMode": "yes",
            "ConnectTimeout": "10",
        }
        return ["-F", "none", *(f"-o{name}={value}" for name, value in told.items())]

    def argv(self, *more: str, options: Sequence[str] = ()) -> list[str]:
        """Return the command line that connects."""
        where = f"{self.login}@{self.host}"
        return ["ssh", *self.options(), "-p", str(self.port), *options, where, *more]

    def ssh(self, *command: str, options: Sequence[str] = (), **more: Any):
        """Run a command over there and return how it went, with what ssh said."""
        return subprocess.run(
            self.argv(*command, options=options),
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
            **({} if "input" in more else {"stdin": subprocess.DEVNULL}),
            **more,
        )

    def scp(self, source: Path | str, sink: Path | str):
        """Copy a file; what is over there begins with a colon."""
        where = f"{self.login}@{self.host}"
        ends = [f"{where}{end}" if str(end).startswith(":") else str(end) for end in (source, sink)]
        return subprocess.run(
            ["scp", *self.options(), "-q", "-P", str(self.port), *ends],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def open(self, *command: str, options: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a connection that stays; whoever opens it ends it."""
        return subprocess.Popen(
            self.argv(*command, options=options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def new_authority() -> Authority:
    return Authority.from_text(keys.new_private_key())


def runs(host: Sshd, command: str) -> bool:
    """Return whether a program with this command line runs on the host under a grant's mark, or
    anywhere under its server: one whose connection closed is nobody's child any more.
    """
    mark = f"@{hashlib.sha256(str(host.krl).encode()).hexdigest()[:12]}".encode()
    served = set(host.processes())
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b" ".join(words[:-1]).decode(errors="replace") != command:
                continue
            if int(folder.name) in served or mark in (folder / "environ").read_bytes():
                return True
    return False
