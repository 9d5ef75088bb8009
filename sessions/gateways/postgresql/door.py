"""Who is at the door: from the first byte to a session that may begin, or a refusal."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass, replace

from jit.kernel import clock
from sessions.gateways.postgresql import certificates, framing, scram, upstream, wishes
from sessions.gateways.postgresql.doorstep import Opened
from sessions.gateways.postgresql.framing import Malformed, u32
from sessions.gateways.postgresql.link import Link
from sessions.gateways.postgresql.parts import Admitted, House, Knock, NotLetIn
from sessions.gateways.postgresql.upstream import Backend
from sessions.gateways.postgresql.wishes import Wishes

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


class Refusal(Exception):
    """Somebody is turned away; `packet` is the ErrorResponse for them."""

    def __init__(self, code: str, sentence: str, *, hint: str = "") -> None:
        super().__init__(sentence)
        self.packet = framing.error(severity="FATAL", code=code, text=sentence, hint=hint)


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who was admitted."""

    link: Link
    version: int
    wishes: Wishes
    admitted: Admitted


class Door:
    """Lets people in. `certificate` is our own in DER."""

    def __init__(self, *, house: House, certificate: bytes) -> None:
        self._house = house
        self._binding = upstream.binding_of(certificate)

    async def admit(self, opened: Opened, *, source: str, may_be_plain: bool) -> Guest:
        """Return the guest. Raises Refusal, Malformed, Gone."""
        link = opened.link
        if opened.tls is None and not may_be_plain:
            raise Refusal("28000", NO_TLS)
        version = self._negotiate(opened)
        try:
            wished = wishes.read(opened.body)
        except NotLetIn as said:
            raise Refusal("0A000", str(said)) from None
        if wished.unknown or version != opened.version:
            link.write(framing.negotiate_version(version, wished.unknown))
        proof, verifier = await self._prove(link, opened.tls, wished)
        knock = Knock(
            name=wished.user,
            proof=proof,
            verifier=verifier,
            source_address=source,
            client=wished.client,
            database=wished.database,
        )
        try:
            admitted = await self._house.admit(knock)
        except NotLetIn as said:
            raise Refusal("28P01", str(said)) from None
        return Guest(link, version, wished, admitted)

    @staticmethod
    def _negotiate(opened: Opened) -> int:
        """Return the version to speak: 3.2 to whoever knows it or something newer, else 3.0."""
        if opened.version >> 16 != 3:  # noqa: PLR2004 -- the only protocol there is since 2003
            raise Refusal(
                "0A000",
                f"Protocol {opened.version >> 16}.{opened.version & 0xFFFF} is not spoken here: "
                "3.0 and 3.2 are. Use a newer client.",
            )
        newer = opened.version >= framing.PROTOCOL_3_2
        return framing.PROTOCOL_3_2 if newer else framing.PROTOCOL_3_0

    async def _prove(
        self, link: Link, tls: ssl.SSLObject | None, wished: Wishes
    ) -> tuple[str, scram.Verifier | None]:
        """Return how the client proved who it is. Raises Refusal."""
        certificate = certificates.shown(tls, now=clock.now()) if tls is not None else None
        if certificate is not None and certificate.name == wished.user:
            if certificate.over:
                raise Refusal("28000", certificate.over)
            return "certificate", None
        # A name that opens nothing is asked for its password all the same, and refused in the
        # same words.
        binding = self._binding if tls is not None else None
        server = scram.Server(self._house.salt(wished.user), binding=binding)
        offered = b"".join(name.encode() + b"\0" for name in server.mechanisms) + b"\0"
        try:
            link.write(framing.message(_AUTHENTICATION, u32.pack(10) + offered))
            mechanism, first = _sasl_initial(await _password(link))
            link.write(
                framing.message(_AUTHENTICATION, u32.pack(11) + server.first(mechanism, first))
            )
            answer = await _password(link)
            # Looked up only now: many a client makes its password once it is asked for it.
            verifier, final = server.final(answer, await self._house.verifiers(wished.user))
        except scram.Mismatch as why:
            log.info("refused %r: %s", wished.user[:63], why)
            raise Refusal("28P01", NO_ENTRY) from None
        link.write(framing.message(_AUTHENTICATION, u32.pack(12) + final))
        return "token", verifier


async def connect(guest: Guest) -> tuple[Backend, str]:
    """Return the guest's backend on the target and the name of its database.

    Raises Refusal.
    """
    reach = guest.admitted.reach
    try:
        database = wishes.database_for(guest.wishes, reach)
    except NotLetIn as said:
        raise Refusal("3D000", str(said)) from None
    there = replace(reach, database=database)
    try:
        backend = await upstream.connect(there, wishes.settings_for(guest.wishes, reach))
    except upstream.TargetRefused as said:
        raise _not_taken(guest.admitted, said) from None
    return backend, database


def _not_taken(admitted: Admitted, said: upstream.TargetRefused) -> Refusal:
    """Return what the client is told of a target that let its role not in."""
    code = said.fields.get("C", "08006")
    if code == _TOO_MANY and said.fields.get("R") == "InitializeSessionUserId":
        limit = admitted.reach.connection_limit
        held = f"{limit} connections" if limit != 1 else "1 connection"
        used = "all are" if limit != 1 else "it is"
        return Refusal(
            code,
            f"Your grant of {admitted.role} allows {held} at once, and {used} in use. Close one "
            "and connect again, or let your program's pool hold fewer.",
        )
    # The role and its password are ours, not the client's: 28… would send them the wrong way.
    code = "08006" if code.startswith("28") else code
    passes = code.startswith(_PASSES) and said.passes
    next_ = "Try again soon." if passes else "Trying again does not help: tell your operators."
    return Refusal(code, f"{admitted.target} did not take the connection: {said}. {next_}")


def welcome(backend: Backend, key: bytes) -> bytes:
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
