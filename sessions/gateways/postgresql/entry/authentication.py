"""Who connects: from the startup message to a session that may begin, or a refusal."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass, replace

from jit.kernel import clock
from sessions.gateways.postgresql import upstream
from sessions.gateways.postgresql.entry import client_certificates, startup
from sessions.gateways.postgresql.entry.negotiation import StartupRequest
from sessions.gateways.postgresql.entry.startup import StartupParameters
from sessions.gateways.postgresql.interfaces import (
    AccessRefused,
    AdmittedSession,
    AuthenticationAttempt,
    SessionBroker,
)
from sessions.gateways.postgresql.link import Link
from sessions.gateways.postgresql.protocol import framing, scram
from sessions.gateways.postgresql.protocol.framing import Malformed, u32
from sessions.gateways.postgresql.upstream import BackendConnection

log = logging.getLogger(__name__)

NO_ENTRY = (
    "Nothing opens for this user name and password. A password here is for one log-in only, and "
    "for a short while: fetch a fresh one on your grant's page and try again."
)
USED = (
    "This password opens nothing any more: it was used, or its time is over. Each is for one "
    "log-in only; fetch a fresh one on your grant's page and try again."
)
NO_TLS = (
    "This gateway speaks over TLS only. Connect with sslmode=verify-full (or require); your "
    "grant's page shows the whole line."
)
_AUTHENTICATION = b"R"
_TOO_MANY = "53300"
_PASSES = ("08", "53", "57")
"""Classes of SQLSTATE of what passes: connections, resources, a server that starts or stops."""


class ConnectionRejected(Exception):
    """Somebody is turned away; `packet` is the ErrorResponse for them."""

    def __init__(self, code: str, sentence: str, *, hint: str = "") -> None:
        super().__init__(sentence)
        self.packet = framing.error(severity="FATAL", code=code, text=sentence, hint=hint)


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """Somebody who was admitted."""

    link: Link
    version: int
    parameters: StartupParameters
    admitted: AdmittedSession


class Authenticator:
    """Finds out who a client is. `certificate` is our own in DER."""

    def __init__(self, *, broker: SessionBroker, certificate: bytes) -> None:
        self._broker = broker
        self._binding = upstream.binding_of(certificate)

    async def authenticate(
        self, request: StartupRequest, *, source: str, may_be_plain: bool
    ) -> AuthenticatedClient:
        """Return who was admitted. Raises ConnectionRejected, Malformed, Gone."""
        link = request.link
        if request.tls is None and not may_be_plain:
            raise ConnectionRejected("28000", NO_TLS)
        version = self._negotiate(request)
        try:
            parameters = startup.read(request.body)
        except AccessRefused as said:
            raise ConnectionRejected("0A000", str(said)) from None
        if parameters.unknown or version != request.version:
            link.write(framing.negotiate_version(version, parameters.unknown))
        proof, verifier = await self._prove(link, request.tls, parameters)
        attempt = AuthenticationAttempt(
            name=parameters.user,
            proof=proof,
            verifier=verifier,
            source_address=source,
            client=parameters.client,
            database=parameters.database,
        )
        try:
            admitted = await self._broker.admit(attempt)
        except AccessRefused as said:
            raise ConnectionRejected("28P01", str(said)) from None
        return AuthenticatedClient(link, version, parameters, admitted)

    @staticmethod
    def _negotiate(request: StartupRequest) -> int:
        """Return the version to speak: 3.2 to whoever knows it or something newer, else 3.0."""
        if request.version >> 16 != 3:  # noqa: PLR2004 -- the only protocol there is since 2003
            raise ConnectionRejected(
                "0A000",
                f"Protocol {request.version >> 16}.{request.version & 0xFFFF} is not spoken here: "
                "3.0 and 3.2 are. Use a newer client.",
            )
        newer = request.version >= framing.PROTOCOL_3_2
        return framing.PROTOCOL_3_2 if newer else framing.PROTOCOL_3_0

    async def _prove(
        self, link: Link, tls: ssl.SSLObject | None, parameters: StartupParameters
    ) -> tuple[str, scram.Verifier | None]:
        """Return how the client proved who it is. Raises ConnectionRejected."""
        certificate = client_certificates.shown(tls, now=clock.now()) if tls is not None else None
        if certificate is not None and certificate.name == parameters.user:
            if certificate.over:
                raise ConnectionRejected("28000", certificate.over)
            return "certificate", None
        # A name that opens nothing is asked for its password all the same, and refused in the
        # same words.
        binding = self._binding if tls is not None else None
        server = scram.ScramServer(self._broker.salt(parameters.user), binding=binding)
        offered = b"".join(name.encode() + b"\0" for name in server.mechanisms) + b"\0"
        try:
            link.write(framing.message(_AUTHENTICATION, u32.pack(10) + offered))
            mechanism, first = _sasl_initial(await _password(link))
            link.write(
                framing.message(_AUTHENTICATION, u32.pack(11) + server.first(mechanism, first))
            )
            answer = await _password(link)
            # Looked up only now: many a client makes its password once it is asked for it.
            verifier, final = server.final(answer, await self._broker.verifiers(parameters.user))
        except scram.ScramMismatch as why:
            log.info("refused %r: %s", parameters.user[:63], why)
            raise ConnectionRejected("28P01", NO_ENTRY) from None
        link.write(framing.message(_AUTHENTICATION, u32.pack(12) + final))
        return "token", verifier


async def connect(client: AuthenticatedClient) -> tuple[BackendConnection, str]:
    """Return the client's backend on the target and the name of its database.

    Raises ConnectionRejected.
    """
    target_connection = client.admitted.target_connection
    try:
        database = startup.database_for(client.parameters, target_connection)
    except AccessRefused as said:
        raise ConnectionRejected("3D000", str(said)) from None
    there = replace(target_connection, database=database)
    try:
        backend = await upstream.connect(
            there, startup.settings_for(client.parameters, target_connection)
        )
    except upstream.TargetRefused as said:
        raise _not_taken(client.admitted, said) from None
    return backend, database


def _not_taken(admitted: AdmittedSession, said: upstream.TargetRefused) -> ConnectionRejected:
    """Return what the client is told of a target that let its role not in."""
    code = said.fields.get("C", "08006")
    if code == _TOO_MANY and said.fields.get("R") == "InitializeSessionUserId":
        limit = admitted.target_connection.connection_limit
        held = f"{limit} connections" if limit != 1 else "1 connection"
        used = "all are" if limit != 1 else "it is"
        return ConnectionRejected(
            code,
            f"Your grant of {admitted.role} allows {held} at once, and {used} in use. Close one "
            "and connect again, or let your program's pool hold fewer.",
        )
    # The role and its password are ours, not the client's: 28… would send them the wrong way.
    code = "08006" if code.startswith("28") else code
    passes = code.startswith(_PASSES) and said.passes
    next_ = "Try again soon." if passes else "Trying again does not help: tell your operators."
    return ConnectionRejected(
        code, f"{admitted.target} did not take the connection: {said}. {next_}"
    )


def startup_complete(backend: BackendConnection, key: bytes) -> bytes:
    """Return what a client is told once its session begins."""
    done = framing.message(_AUTHENTICATION, u32.pack(0))
    return done + backend.said + key + framing.message(b"Z", b"I")


async def _password(link: Link) -> bytes:
    kind, body = await link.read()
    if kind != b"p":
        raise Malformed(f"a message of kind {kind!r} instead of the log-in's answer")
    return body


def _sasl_initial(body: bytes) -> tuple[str, bytes]:
    name, at = framing.text_at(body, 0)
    if len(body) < at + 4 or u32.unpack_from(body, at)[0] != len(body) - at - 4:
        raise Malformed("the log-in's first answer is cut off")
    return name.decode("ascii", "replace"), body[at + 4 :]
