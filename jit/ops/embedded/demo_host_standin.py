"""A stand-in for sshd where the machine has none: asyncssh, on loopback, for the demo alone.

    python -m jit.ops.embedded.demo_host_standin FOLDER PORT LOGIN WEB_PORT [UID GID]

It keeps what the demo shows: certificates of our authority, principals, the list of revoked ones,
forced commands, terminals, files, one forward. Whoever logs in becomes whoever runs it: started by
root, it gives all of root's rights away before it listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pwd
import signal
import struct
import sys
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.connection import SSHServerConnection

from jit.connectors.ssh import certificates, krl

type Process = asyncssh.SSHServerProcess[bytes]

_CHUNK = 32768
_SHELL = "/bin/sh"
_FORCED = "_jit_forced_command"
_validate = SSHServerConnection._validate_openssh_certificate  # noqa: SLF001 -- see install()


def install(folder: Path, login: str) -> None:
    """Have certificates refused by account and list, and forced commands told what was typed.

    asyncssh shows its own callbacks neither a certificate's key id nor the command that a forced
    one replaced, so both are taken where they are.
    """

    async def validate(self: Any, username: str, cert: Any) -> Any:
        try:
            refused = krl.read((folder / "web-1.krl").read_bytes())
            said = certificates.read(cert.export_certificate().decode())
        except (OSError, krl.BrokenKrl, certificates.BadCertificate):
            return None  # As sshd does: no list, no log-in.
        if username != login or refused.refuses(key_id=said.key_id, serial=said.serial):
            return None
        key = await _validate(self, username, cert)
        if key is not None:
            options = dict(self._cert_options)
            setattr(self, _FORCED, options.pop("force-command", None))
            self._cert_options = options
        return key

    SSHServerConnection._validate_openssh_certificate = validate  # type: ignore[method-assign]  # noqa: SLF001


class Door(asyncssh.SSHServer):
    """Lets nobody in without a certificate, and forwards to the demo's web server alone."""

    def __init__(self, banner: str, web_port: int) -> None:
        self._banner, self._web_port = banner, web_port
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        del username
        if self._connection:
            self._connection.send_auth_banner(self._banner)
        return True

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        del orig_host, orig_port
        return (dest_host, dest_port) == ("127.0.0.1", self._web_port)


class Files(asyncssh.SFTPServer):
    """Files, as far as whoever runs this may reach them; its end is told, as scp waits for it."""

    def exit(self) -> None:
        self.channel.exit(0)


async def attend(process: Process) -> None:
    """Run what the person asked for, with a terminal if they wanted one, until either ends."""
    connection: Any = process.channel.get_connection()
    forced = getattr(connection, _FORCED, None)
    typed = process.command
    env = {"PATH": os.environ.get("PATH", os.defpath), "SHELL": _SHELL, "HOME": _home()}
    env |= {"TERM": process.term_type} if process.term_type else {}
    if forced is not None:
        env |= {"SSH_ORIGINAL_COMMAND": typed or ""}
        argv = [_SHELL, "-c", forced]
    else:
        argv = [_SHELL, "-c", typed] if typed else [_SHELL, "-l"]
    if process.term_type:
        code = await _with_terminal(process, argv, env)
    else:
        code = await _without(process, argv, env)
    process.exit(code if code >= 0 else 128 - code)


async def _without(process: Process, argv: list[str], env: dict[str, str]) -> int:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *argv, env=env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, cwd=_home()
    )
    assert child.stdin and child.stdout and child.stderr  # noqa: S101, PT018 -- pipes were asked for
    feeding = child.stdin

    async def feed(content: bytes) -> None:
        feeding.write(content)
        await feeding.drain()

    inward = asyncio.create_task(_inward(process, child.pid, feed, feeding.close))
    outward = [
        asyncio.create_task(_outward(child.stdout, process.stdout)),
        asyncio.create_task(_outward(child.stderr, process.stderr)),
    ]
    return await _until_the_end(process, child, inward, outward)


async def _with_terminal(process: Process, argv: list[str], env: dict[str, str]) -> int:
    ours, theirs = os.openpty()
    _resize(ours, *process.term_size[:2])
    name = os.ttyname(theirs)
    # A session's leader gets as its terminal the first one that it opens.
    opened = [_SHELL, "-c", f'exec "$@" <{name} >{name} 2>&1', "sh", *argv]
    child = await asyncio.create_subprocess_exec(
        *opened, env=env, start_new_session=True, stdin=asyncio.subprocess.DEVNULL, cwd=_home()
    )
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", buffering=0)
    )

    async def feed(content: bytes) -> None:
        await asyncio.to_thread(os.write, ours, content)

    inward = asyncio.create_task(_inward(process, child.pid, feed, lambda: None, ours))
    outward = asyncio.create_task(_outward(reader, process.stdout))
    try:
        # Ours of the far end stays open for as long as the program runs: before it has opened
        # its own, a terminal with no far end reads as finished.
        return await _until_the_end(
            process, child, inward, [outward], at_its_end=lambda: os.close(theirs)
        )
    finally:
        transport.close()


async def _until_the_end(
    process: Process,
    child: asyncio.subprocess.Process,
    inward: asyncio.Task[None],
    outward: list[asyncio.Task[None]],
    at_its_end: Callable[[], None] = lambda: None,
) -> int:
    """Return the child's code once it ended and all was told; a closed channel ends it."""
    left = asyncio.create_task(process.channel.wait_closed())
    ended = asyncio.create_task(child.wait())
    await asyncio.wait({left, ended}, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        _kill(child.pid)
    code = await ended
    at_its_end()
    if not left.done():
        await asyncio.wait(outward, timeout=2)
    for task in (inward, left, *outward):
        task.cancel()
    return code


async def _inward(
    process: Process,
    pid: int,
    feed: Callable[[bytes], Awaitable[None]],
    close: Callable[[], None],
    terminal: int | None = None,
) -> None:
    while True:
        try:
            content = await process.stdin.read(_CHUNK)
        except asyncssh.TerminalSizeChanged as changed:
            if terminal is not None:
                _resize(terminal, changed.width, changed.height)
            continue
        except asyncssh.SignalReceived as received:
            number = getattr(signal, f"SIG{received.signal}", signal.SIGTERM)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
            continue
        except asyncssh.BreakReceived:
            continue
        if not content:
            close()
            return
        with contextlib.suppress(OSError):
            await feed(content)


async def _outward(source: asyncio.StreamReader, sink: Any) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):  # A terminal whose other end shut: EIO.
        while content := await source.read(_CHUNK):
            sink.write(content)
            await sink.drain()


def _resize(terminal: int, width: int, height: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _home() -> str:
    """Return where a session begins: at home, if there is one."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    return home if os.access(home, os.R_OK | os.X_OK) else "/"


def become(uid: int, gid: int) -> None:
    """Give root's rights away, for good."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


async def serve(
    folder: Path, port: int, login: str, web_port: int, *, runner: tuple[int, int] | None
) -> None:
    """Serve until the process is told to stop, as `runner` (uid and gid) if that is given."""
    install(folder, login)
    host_keys = asyncssh.load_keypairs([(str(folder / "host"), str(folder / "host-cert.pub"))])
    principals = ",".join((folder / "principals").read_text(encoding="utf-8").split())
    ca = (folder / "user-ca.pub").read_text(encoding="ascii").strip()
    banner = (folder / "banner").read_text(encoding="utf-8")
    await asyncio.to_thread("localhost".encode, "idna")  # What is imported late is so now.
    await asyncssh.create_server(
        lambda: Door(banner, web_port),
        "127.0.0.1",
        port,
        server_host_keys=host_keys,
        authorized_client_keys=asyncssh.import_authorized_keys(
            f'cert-authority,principals="{principals}" {ca}\n'
        ),
        process_factory=attend,
        sftp_factory=Files,
        allow_scp=False,
        agent_forwarding=False,
        x11_forwarding=False,
        encoding=None,
        line_editor=False,
        server_version="jit_demo_standin",
    )
    if runner:
        become(*runner)  # Before anybody who waits at the port is attended to.
    await asyncio.Event().wait()


if __name__ == "__main__":
    there, number, who, web, *ids = sys.argv[1:]
    as_whom = (int(ids[0]), int(ids[1])) if ids else None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Path(there), int(number), who, int(web), runner=as_whom))
