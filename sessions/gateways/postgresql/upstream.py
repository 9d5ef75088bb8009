"""The connection to the target: TLS as its configuration demands, and the role's log-in."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509

from sessions.gateways.postgresql.interfaces import TargetConnection
from sessions.gateways.postgresql.link import Gone, Link
from sessions.gateways.postgresql.protocol import framing, scram
from sessions.gateways.postgresql.protocol.framing import Malformed, i32, u32

_LONGEST = 1024 * 1024


class TargetRefused(Exception):
    """The target could not be reached or did not let the role in; `fields` are those of its
    ErrorResponse, if it sent one; `passes` tells whether that may be other in a moment.
    """

    def __init__(
        self, said: str, fields: Mapping[str, str] | None = None, *, passes: bool = True
    ) -> None:
        super().__init__(said)
        self.fields = dict(fields or {})
        self.passes = passes


@dataclass(slots=True)
class BackendConnection:
    """A connection that is ready for queries. `said` are the messages of the log-in that the
    client should get too: parameters and notices.
    """

    link: Link
    said: bytes = b""
    parameters: dict[str, str] = field(default_factory=dict)
    pid: int = 0
    key: bytes = b""


async def connect(target: TargetConnection, parameters: Mapping[str, str]) -> BackendConnection:
    """Log in as the ephemeral role with these startup parameters (user and database apart).

    Raises TargetRefused.
    """
    try:
        async with asyncio.timeout(target.connect_timeout):
            link = await _link(target)
            try:
                return await _log_in(link, target, parameters)
            except BaseException:
                link.abort()
                raise
    except TimeoutError:
        raise TargetRefused(
            f"the target did not answer within {target.connect_timeout:g} s"
        ) from None
    except (OSError, Gone, Malformed, scram.ScramMismatch) as failure:
        raise TargetRefused(f"the target can't be reached: {failure}") from failure


async def cancel(target: TargetConnection, pid: int, key: bytes) -> None:
    """Ask the target to cancel what this backend runs. Raises TargetRefused."""
    packet = u32.pack(12 + len(key)) + u32.pack(framing.CANCEL_REQUEST) + u32.pack(pid)
    try:
        async with asyncio.timeout(target.connect_timeout):
            link = await _link(target)
            try:
                link.write(packet + key)
                await link.closed  # The server shuts the connection once it has passed it on.
            finally:
                link.abort()
    except (TimeoutError, OSError) as failure:
        raise TargetRefused(f"the cancel did not reach the target: {failure}") from failure


async def _link(target: TargetConnection) -> Link:
    loop = asyncio.get_running_loop()
    if target.host.startswith("/"):
        path = f"{target.host}/.s.PGSQL.{target.port}"
        return (await loop.create_unix_connection(Link, path))[1]
    sock = await _socket(target.host, target.port)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        context = _tls(target)
        if context is not None:
            await loop.sock_sendall(sock, u32.pack(8) + u32.pack(framing.SSL_REQUEST))
            answer = await loop.sock_recv(sock, 1)
            if answer == b"S":
                link = Link()
                await loop.create_connection(
                    lambda: link, sock=sock, ssl=context, server_hostname=target.host
                )
                return link
            _check_plain(target, answer)
        return (await loop.create_connection(Link, sock=sock))[1]
    except BaseException:
        sock.close()
        raise


def _check_plain(target: TargetConnection, answer: bytes) -> None:
    if answer != b"N" or target.sslmode not in {"prefer", "allow"}:
        raise TargetRefused(f"the target speaks no TLS, which its sslmode {target.sslmode} demands")


async def _socket(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure: OSError = OSError(f"no address for {host}")
    for family, kind, proto, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
        except OSError as refused:
            failure = refused
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _tls(target: TargetConnection) -> ssl.SSLContext | None:
    """Return the context that libpq's sslmode of this name means."""
    if target.sslmode == "disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["postgresql"])
    context.check_hostname = target.sslmode == "verify-full"
    if target.sslmode in {"verify-ca", "verify-full"} or target.sslrootcert:
        if target.sslrootcert and target.sslrootcert != "system":
            context.load_verify_locations(target.sslrootcert)
        else:
            context.load_default_certs()
    else:
        context.verify_mode = ssl.CERT_NONE
    return context


async def _log_in(
    link: Link, target: TargetConnection, parameters: Mapping[str, str]
) -> BackendConnection:
    wanted = {"user": target.user, "database": target.database, **parameters}
    link.write(framing.startup(wanted))
    backend = BackendConnection(link)
    proof = _Proof(link, target)
    while True:
        kind, body = await link.read(longest=_LONGEST)
        if kind == b"R":
            proof.answer(body)
        elif kind == b"E":
            fields = framing.error_fields(body)
            raise TargetRefused(fields.get("M", "the target refused the log-in"), fields)
        elif kind == b"K":
            backend.pid, backend.key = u32.unpack_from(body)[0], body[4:]
        elif kind == b"Z":
            if not proof.given:
                raise TargetRefused("the target let the role in without its password")
            await _begin(link, target)
            return backend
        elif kind == b"S":
            name, value = (word.decode("utf-8", "replace") for word in body.split(b"\0")[:2])
            backend.parameters[name] = value
            backend.said += framing.message(kind, body)
        elif kind == b"N":
            backend.said += framing.message(kind, body)


async def _begin(link: Link, target: TargetConnection) -> None:
    """See that the session acts as the target's role: where that was renamed or dropped, the
    server only warns in its own log, and lets the bare log-in role in, which may do nothing.

    And have the backend look whether we are still there while a query runs, so that it does not
    run on for nobody if this process is killed. Servers before 14 can't, and say so.

    Raises TargetRefused.
    """
    link.write(framing.message(b"Q", b"SHOW role; SET client_connection_check_interval = '1s'\0"))
    acts_as = ""
    kind = b""
    while kind != b"Z":
        kind, body = await link.read(longest=_LONGEST)
        if kind == b"D":
            acts_as = body[6:].decode("utf-8", "replace")
    if target.role and acts_as != target.role:
        raise TargetRefused(
            f"its role {target.role}, which your grant gives, is not there any more or not yours",
            passes=False,
        )


class _Proof:
    """The authentication part of a log-in; `given` once the target has taken the password."""

    def __init__(self, link: Link, target: TargetConnection) -> None:
        self._link = link
        self._target = target
        self._scram: scram.ScramClient | None = None
        # A password that somebody may ask for in an unsafe way is not sent (libpq: require_auth).
        self.given = target.require_auth == "any"

    def answer(self, body: bytes) -> None:
        asked = i32.unpack_from(body)[0]
        if asked == 0:
            return
        if asked == 10:  # noqa: PLR2004 -- AuthenticationSASL
            offered = {word.decode("ascii", "replace") for word in body[4:].split(b"\0") if word}
            self._begin(offered)
        elif asked == 11 and self._scram:  # noqa: PLR2004 -- AuthenticationSASLContinue
            self._link.write(framing.message(b"p", self._scram.final(body[4:])))
        elif asked == 12 and self._scram:  # noqa: PLR2004 -- AuthenticationSASLFinal
            self._scram.check(body[4:])
            self.given = True
        elif asked == 5 and self._target.require_auth in {"md5", "any"}:  # noqa: PLR2004 -- MD5
            self._link.write(framing.message(b"p", self._md5(body[4:8])))
            self.given = True
        elif asked == 3 and self._target.require_auth == "any":  # noqa: PLR2004 -- clear text
            self._link.write(framing.message(b"p", self._target.password.encode() + b"\0"))
        else:
            raise TargetRefused(
                f"the target asks for a kind of log-in ({asked}) that its require_auth "
                f"{self._target.require_auth} does not allow"
            )

    def _begin(self, offered: set[str]) -> None:
        if scram.PLAIN not in offered:
            raise TargetRefused("the target offers no SCRAM-SHA-256")
        binding = None
        secured = self._link.transport.get_extra_info("ssl_object")
        if scram.PLUS in offered and secured is not None:
            binding = binding_of(secured.getpeercert(binary_form=True))
        self._scram = scram.ScramClient(self._target.password, binding=binding)
        mechanism, first = scram.PLUS if binding else scram.PLAIN, self._scram.first()
        body = mechanism.encode() + b"\0" + u32.pack(len(first)) + first
        self._link.write(framing.message(b"p", body))

    def _md5(self, salt: bytes) -> bytes:
        def digest(text: bytes) -> bytes:
            return hashlib.md5(text, usedforsecurity=False).hexdigest().encode()

        inner = digest((self._target.password + self._target.user).encode())
        return b"md5" + digest(inner + salt) + b"\0"


def binding_of(certificate: bytes | None) -> bytes | None:
    """Return the channel-binding data of a DER certificate, or None if it has none: its
    signature names no digest (Ed25519).
    """
    if certificate is None:
        return None
    with contextlib.suppress(Exception):
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
        if algorithm is not None:
            return scram.endpoint_hash(certificate, digest=algorithm.name)
    return None
