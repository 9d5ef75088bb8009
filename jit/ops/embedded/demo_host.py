"""The demo's SSH host `web-1`: a real sshd on loopback where there is one, else one of asyncssh.

It has its own configuration, keys and folder, and touches nothing of the machine's own sshd.
Started by an ordinary person, its visitors become that person, which its banner says: nobody else
can be logged in without root. Started by root, they become an account made for it, `jit-demo`,
which can read the host's files and write none.
"""

from __future__ import annotations

import getpass
import grp
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from jit.ops.embedded import ground
from jit.ops.embedded.children import Child, DidNotStart, descendants, kill

NAME = "web-1"
GUEST = "jit-demo"
OBSERVER, OPERATOR, ROOT = "jit-observer", "web-1-operator", "web-1-root"
SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib/ssh/sftp-server",
)
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/sbin")
_CONFIG = """\
# The demo host of an embedded installation; made anew at every start.
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
HostCertificate {folder}/host-cert.pub
PidFile none
LogLevel VERBOSE
Banner {folder}/banner
StrictModes no
UsePAM no
AllowUsers {login}
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile none
TrustedUserCAKeys {folder}/user-ca.pub
AuthorizedPrincipalsFile {folder}/principals
RevokedKeys {folder}/web-1.krl
AllowAgentForwarding no
X11Forwarding no
PermitTunnel no
AllowTcpForwarding local
PermitOpen 127.0.0.1:{web_port}
MaxStartups 60:30:200
Subsystem sftp {sftp}
"""


@dataclass(kw_only=True)
class DemoHost:
    """One host, as a child process that starts, stops and is looked at like the other servers."""

    data: Path
    web_port: int
    log: Path
    port: int = field(default=0, init=False)
    login: str = field(default="", init=False)
    folder: Path = field(default=Path(), init=False)
    is_real: bool = field(default=False, init=False)
    _child: Child | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def environment(self) -> dict[str, str]:
        """Return what the application's processes, and the seeding, are told of it."""
        if not self.port:
            return {}
        return {
            "JIT_DEMO_HOST": json.dumps(
                {
                    "name": NAME,
                    "address": "127.0.0.1",
                    "port": self.port,
                    "login": self.login,
                    "ca": str(self._key("ssh-user-ca")),
                    "krl": str(self.folder / "web-1.krl"),
                    "host_ca": (self.folder / "host-ca.pub").read_text(encoding="ascii").strip(),
                    "web_port": self.web_port,
                    "is_real": self.is_real,
                }
            )
        }

    def start(self) -> None:
        """Start it and return once it answers; raises DidNotStart."""
        sshd = real_sshd()
        guest = guest_account() if os.geteuid() == 0 else None
        self.is_real = bool(sshd) and (guest is not None or can_give_terminals())
        if os.geteuid() == 0 and guest is None:
            self.is_real, guest = False, ground.account()
        self.login = guest.name if guest else getpass.getuser()
        self.folder = ground.guests_home(self.data, guest)
        for attempts_left in (2, 1, 0):
            port = self.port or ground.free_port(self._last_port())
            self._prepare(guest)
            self._child = self._process(sshd if self.is_real else None, port, guest)
            self._child.start()
            try:
                self._child.wait_until(partial(_answers, port), seconds=30)
            except DidNotStart:
                self._child.stop()
                if not attempts_left or self.port:
                    raise
            else:
                self.port = port
                self._port_file().write_text(str(port), encoding="ascii")
                return

    def stop(self, *, seconds: float = 5) -> None:
        """Stop it and what its visitors run: sshd itself would leave open connections alone."""
        if self._child and self._child.pid:
            left = descendants(self._child.pid)
            self._child.stop(seconds=seconds)
            kill(left)

    def ask_to_stop(self) -> None:
        if self._child:
            self._child.ask_to_stop()

    def running(self) -> bool:
        return self._child is not None and self._child.running()

    def who(self) -> str:
        """Return who its visitors are, in a sentence for people."""
        kind = "OpenSSH's sshd" if self.is_real else "a stand-in by asyncssh, not sshd"
        if os.geteuid() == 0:
            return f"{kind}; visitors become the unprivileged account {self.login}"
        return f"{kind}; visitors become YOU ({self.login}), with all that you may do"

    def _process(self, sshd: str | None, port: int, guest: ground.Account | None) -> Child:
        if sshd:
            (self.folder / "config").write_text(
                _CONFIG.format(
                    port=port,
                    folder=self.folder,
                    login=self.login,
                    web_port=self.web_port,
                    sftp=next((path for path in SFTP_SERVERS if Path(path).exists()), "none"),
                ),
                encoding="utf-8",
            )
            argv = [sshd, "-D", "-e", "-f", str(self.folder / "config")]
            return Child(name=NAME, argv=argv, log=self.log, env=_bare(), cwd=Path("/"))
        argv = [sys.executable, "-m", "jit.ops.embedded.demo_host_standin"]
        argv += [str(self.folder), str(port), self.login, str(self.web_port)]
        argv += [str(guest.uid), str(guest.gid)] if guest else []
        root = Path(__file__).resolve().parents[3]
        return Child(name=NAME, argv=argv, log=self.log, env=_bare(), cwd=root)

    def _prepare(self, guest: ground.Account | None) -> None:
        """Make keys and certificates once, and the files that change at every start."""
        user_ca, host_ca = self._key("ssh-user-ca"), self._key("ssh-host-ca")
        if not all(it.exists() for it in (user_ca, host_ca, self.folder / "host-cert.pub")):
            _make_keys(self.folder, user_ca, host_ca)
        if guest and self.is_real:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # For sshd's own separation.
        files = {
            "principals": f"{OBSERVER}\n{OPERATOR}\n{ROOT}\n",
            "banner": f"{NAME}, the demo host of an embedded installation on this machine only:\n"
            f"{self.who()}.\n",
        }
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")
            (self.folder / name).chmod(0o644)

    def _key(self, name: str) -> Path:
        return self.data / "keys" / name

    def _port_file(self) -> Path:
        return self.data / "demo-host.port"

    def _last_port(self) -> int:
        try:
            return int(self._port_file().read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0


def real_sshd() -> str | None:
    """Return this machine's sshd, or None."""
    return shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), *_PLACES]))


def can_give_terminals() -> bool:
    """Return whether an sshd of ours may hand out terminals: where devpts does not put them
    into the group tty, only root or a member can, and sshd refuses a terminal it can't hand over.
    """
    try:
        wanted = grp.getgrnam("tty").gr_gid
        ours, theirs = os.openpty()
    except (KeyError, OSError):
        return False
    try:
        return os.fstat(theirs).st_gid == wanted or wanted in {os.getegid(), *os.getgroups()}
    finally:
        os.close(ours)
        os.close(theirs)


def is_there() -> bool:
    """Return whether the system has the account of root's visitors."""
    try:
        pwd.getpwnam(GUEST)
    except KeyError:
        return False
    return True


def guest_account() -> ground.Account | None:
    """Return the account of root's visitors, made if there is none; None if it can't be made."""
    try:
        entry = pwd.getpwnam(GUEST)
    except KeyError:
        if not shutil.which("useradd"):
            return None
        # `*` is no password that anybody could enter, and unlike `!` not a locked account.
        told = {"--home-dir": f"/var/lib/{GUEST}", "--shell": "/bin/sh", "--password": "*"}
        options = [part for pair in told.items() for part in pair]
        made = subprocess.run(
            ["useradd", "--system", "--create-home", "--user-group", *options, GUEST],
            check=False,
            capture_output=True,
        )
        if made.returncode:
            return None
        entry = pwd.getpwnam(GUEST)
    if entry.pw_uid == 0 or not os.access(entry.pw_shell, os.X_OK):
        return None
    return ground.Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _make_keys(folder: Path, user_ca: Path, host_ca: Path) -> None:
    """Make both authorities, the host's key and certificate, and an empty list."""
    # Slow to import and needed once: the next start finds the files.
    from jit.connectors.ssh import keys, krl  # noqa: PLC0415
    from jit.connectors.ssh.authority import Authority  # noqa: PLC0415
    from jit.kernel import clock  # noqa: PLC0415

    for path in (user_ca, host_ca, folder / "host"):
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(keys.new_private_key(), encoding="ascii")
    users, hosts = (
        Authority.from_text(path.read_text(encoding="ascii")) for path in (user_ca, host_ca)
    )
    host = keys.public_line(keys.read_private((folder / "host").read_text(encoding="ascii")))
    (folder / "web-1.krl.ledger").unlink(missing_ok=True)
    krl.replace(folder / "web-1.krl", krl.written(krl.Krl(version=0, generated=0)), mode=0o644)
    certificate = hosts.sign_host(public_key=host, names=[NAME], now=clock.now())
    for name, line in (
        ("user-ca.pub", users.public_key),
        ("host-ca.pub", hosts.public_key),
        ("host-cert.pub", certificate),  # The last: its being there says that all is.
    ):
        (folder / name).write_text(f"{line}\n", encoding="ascii")
        (folder / name).chmod(0o644)


def _bare() -> dict[str, str]:
    """Return an environment without anything of the installation's."""
    kept = ("PATH", "LANG", "TERM", "HOME", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            return probe.recv(4) == b"SSH-"
    except OSError:
        return False
