"""SSH hosts as the kit sees them: by OpenSSH's own tools, and as a person who logs in."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from jit.connectors.base import Connector, Context, GrantSpec
from jit.connectors.ssh import SSH, scripts
from tests.contracts.ground import Blocker, Ground, Session, until
from tests.contracts.proxy import Proxy
from tests.support import folders
from tests.support.sshd import Client, Sshd

OBSERVER, OPERATOR = "jit-observer", "web-operator"


class ShellSession(Session):
    """A shell that answers, by the real ssh."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._process = client.open()
        self._count = 0

    def works(self) -> bool:
        self._count += 1
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(f"echo here {self._count}\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return f"here {self._count}\n" in self._process.stdout

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.kill()
        self._process.wait(10)
        self._process.stdout.close()  # type: ignore[union-attr]
        self._client.close()


class SSHGround(Ground):
    patience = 4
    shortest = 4
    ends_early = 1.0  # A certificate's end is a whole second.
    says_goodbye = True
    can_resist = False

    def __init__(self, cls: type[SSH] = SSH, **more: Any) -> None:
        self.cls = cls
        self.folder = folders.passing("ssh-ground")
        self.folder.chmod(0o755)
        self.krl = self.folder / "web.krl"
        self.host = Sshd(krl_file=self.krl, **more).start()
        self.host.allow(OBSERVER, OPERATOR)
        self._given: dict[str, dt.datetime] = {}

    def close(self) -> None:
        self.host.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def config(self, *, port: int | None = None, **changes: Any) -> dict[str, Any]:
        host = {"name": self.host.name, "address": self.host.host, "port": port or self.host.port}
        if port:
            # The people are told the way that does not lead through the proxy.
            host |= {"public_address": self.host.host, "public_port": self.host.port}
        return {
            "hosts": [host],
            "ca": "db:ca",
            "host_cas": [self.host.host_ca.public_key],
            "krl": str(self.krl),
            "observer": {"login": self.host.login, "principal": OBSERVER},
            "login": self.host.login,
            **changes,
        }

    def connector(
        self, context: Context | None = None, *, port: int | None = None, **changes: Any
    ) -> Connector:
        with_secret = replace(
            context or Context(), resolve_db=lambda name: SecretStr(self.host.user_ca_key)
        )
        return self.cls(self.cls.config_model.parse(self.config(port=port, **changes)), with_secret)

    def proxy(self) -> Proxy:
        return Proxy(self.host.host, self.host.port)

    def role_config(self) -> Mapping[str, Any]:
        return {"principals": [OPERATOR]}

    def entries(self) -> dict[str, Any]:
        """Return what the ledger's file says, read by us."""
        path = Path(f"{self.krl}.ledger")
        if not path.exists():
            return {}
        entries: dict[str, Any] = json.loads(path.read_text())["entries"]
        return entries

    def refused(self) -> set[str]:
        """Return the names that the list refuses, as OpenSSH reads it."""
        said = subprocess.run(
            ["ssh-keygen", "-Q", "-l", "-f", self.krl], check=True, capture_output=True, text=True
        ).stdout
        return set(re.findall(r"^id: (\S+)$", said, re.MULTILINE))

    def names(self) -> set[str]:
        return set(self.entries()) - self.refused()

    def usable_beyond(self, deadline: dt.datetime) -> set[str]:
        ends = {
            name: dt.datetime.fromisoformat(entry["deadline"])
            for name, entry in self.entries().items()
        }
        refused = self.refused()
        return {
            name
            for known in (ends, self._given)
            for name, end in known.items()
            if end > deadline and name not in refused
        }

    def proves(self, evidence: Mapping[str, Any]) -> bool:
        return (
            evidence["certificates_taken"] == 0
            and evidence["connections_found"] == 0
            and set(evidence["hosts"]) == {self.host.name}
            and all(host["refused"] and host["took_another"] for host in evidence["hosts"].values())
        )

    def secret(self, credential: Mapping[str, str]) -> str:
        return credential["private_key"].splitlines()[1]

    def client(self, credential: Mapping[str, str]) -> Client:
        """Return the real ssh with what the person was handed."""
        return Client(
            private_key=credential["private_key"],
            certificate=credential["certificate"],
            login=credential["user"],
            host=credential["host"],
            port=int(credential["port"]),
            alias=self.host.name,
            known_hosts=credential["known_hosts"],
        )

    def log_in(self, credential: Mapping[str, str]) -> ShellSession | None:
        client = self.client(credential)
        self._look_at(client)
        session = ShellSession(client)
        if session.works():
            return session
        session.close()
        return None

    def _look_at(self, client: Client) -> None:
        """Remember until when OpenSSH says that a certificate is good."""
        said = subprocess.run(
            ["ssh-keygen", "-L", "-f", client.folder / "id-cert.pub"],
            check=True,
            capture_output=True,
            text=True,
            env={"TZ": "UTC"},
        ).stdout
        name = re.search(r'Key ID: "(.*)"', said)
        end = re.search(r"Valid: from \S+ to (\S+)", said)
        assert name
        assert end
        at = dt.datetime.fromisoformat(end[1] + "+00:00")
        self._given[name[1]] = max(at, self._given.get(name[1], at))

    def lose(self, name: str) -> None:
        path = Path(f"{self.krl}.ledger")
        plain = json.loads(path.read_text())
        del plain["entries"][name]
        path.write_text(json.dumps(plain))

    def blockers(self) -> Mapping[str, Blocker]:
        return {
            "a host that reads an old list": self._old_list,
            "a ledger whose lock a stopped process holds": self._held_ledger,
            "a list that can't be written": self._list_that_cannot_be_written,
            "programs of the person that are stopped": self._stopped,
        }

    @contextmanager
    def _old_list(self, _spec: GrantSpec, _credential: Mapping[str, str]) -> Iterator[None]:
        old = self.folder / "old.krl"
        shutil.copyfile(self.krl, old)
        old.chmod(0o644)
        try:
            self.host.read_list(old)
            yield
        finally:
            self.host.read_list(self.krl)

    @contextmanager
    def _held_ledger(self, _spec: GrantSpec, _credential: Mapping[str, str]) -> Iterator[None]:
        with Path(f"{self.krl}.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _list_that_cannot_be_written(
        self, _spec: GrantSpec, _credential: Mapping[str, str]
    ) -> Iterator[None]:
        self.krl.rename(kept := self.krl.with_suffix(".kept"))
        self.krl.mkdir()
        try:
            self.host.read_list(kept)
            yield
        finally:
            self.krl.rmdir()
            kept.rename(self.krl)
            self.host.read_list(self.krl)

    @contextmanager
    def _stopped(self, spec: GrantSpec, _credential: Mapping[str, str]) -> Iterator[None]:
        mark = f"{scripts.MARK}={spec.external_name}@".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes():
                    os.kill(int(folder.name), signal.SIGSTOP)
        yield

    def settled(self) -> bool:
        return len(self.host.processes()) == 1

    def reset(self) -> None:
        server, *descended = self.host.processes()
        assert server
        assert until(self.settled, seconds=5), descended
        Path(f"{self.krl}.ledger").unlink(missing_ok=True)
        self.host.revoke()
        self._given.clear()
