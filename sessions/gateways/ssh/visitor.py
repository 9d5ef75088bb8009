"""One connection at the SSH door: who is it, and what do they open.

Identity comes from the credential alone: the log-in name only says which of one's own grants
is wanted (`web-1-operator`, or `web-1-operator+db-2` for another host of the target).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import asyncssh

from jit.elevation.models import Grant
from jit.kernel.errors import DomainError
from sessions import queries
from sessions.fingerprints import fingerprint_of
from sessions.gateways.ssh import refusals, upstream
from sessions.gateways.ssh.channel import Front
from sessions.gateways.ssh.forwards import open_forward
from sessions.models import OneUseToken, SshKey
from sessions.operations import admission, certificates, keys, tokens
from sessions.operations.admission import Admission, Caller
from sessions.states import Door, Proof

if TYPE_CHECKING:
    from sessions.gateways.ssh.server import Gateway

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 12
"""Keys and passwords tried on one connection; an agent may offer a handful."""
_PROOFS = {SshKey: Proof.KEY, OneUseToken: Proof.TOKEN, Grant: Proof.CERTIFICATE}
BANNER = (
    "This gateway records what is done through it.\n"
    "Come in with a key of your account page, or with a one-use password of your grant.\n"
)


class Visitor(asyncssh.SSHServer):
    """asyncssh's view of one connection."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.connection: asyncssh.SSHServerConnection
        self._candidate: SshKey | OneUseToken | Grant | None = None
        self._attempts = 0
        self._wanted = ""
        self._host = ""
        self._upstream: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._forwarding: asyncio.Task[Front] | None = None
        self.fronts: set[Front] = set()

    # --- The connection ---------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        refusals.note_on(conn, self)
        if not self.gateway.take_place(self):
            conn.disconnect(
                asyncssh.DISC_TOO_MANY_CONNECTIONS,
                "The gateway is full, or too many connections come from your address.",
            )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncssh's signature
        self.gateway.leave_place(self)
        for front in list(self.fronts):
            front.person_is_gone()
        if self._upstream is not None:
            self.gateway.house.spawn(self._hang_up())

    async def _hang_up(self) -> None:
        assert self._upstream is not None  # noqa: S101 -- its caller looked
        try:
            connection = await self._upstream
        except (DomainError, asyncio.CancelledError):
            return
        connection.close()

    @property
    def source_address(self) -> str:
        peer = self.connection.get_extra_info("peername")
        return str(peer[0]) if peer else ""

    # --- Who is it --------------------------------------------------------------------

    def begin_auth(self, username: str) -> bool:
        self._candidate = None
        self._wanted, _, self._host = username.partition("+")
        if not self._attempts:
            self.connection.send_auth_banner(BANNER)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002 -- the name says nothing about who it is
        """Remember whose key it is; asyncssh lets it count only with a valid signature, which
        is checked in this same request, so the last one remembered is the one that counts.
        """
        self._candidate = None
        if not self._may_try():
            return False
        line = key.export_public_key("openssh").decode()
        self._candidate = await self.gateway.house.ask(
            queries.owner_of_key, fingerprint=fingerprint_of(line)
        )
        return self._candidate is not None

    async def validate_ca_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Trust the authority of the target of the grant that the log-in name names: asyncssh
        then asks that the certificate is signed by it and bears that very name as principal.
        """
        self._candidate = None
        if not self._may_try():
            return False
        self._candidate = await self.gateway.house.ask(
            certificates.is_trusted,
            external_name=username.partition("+")[0],
            ca=key.export_public_key("openssh").decode(),
        )
        return self._candidate is not None

    def password_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002 -- as above
        self._candidate = None
        if not self._may_try():
            return False
        for door in (Door.SSH, Door.WEB):
            self._candidate = await self.gateway.house.ask(tokens.redeem, plain=password, door=door)
            if self._candidate is not None:
                return True
        return False

    def _may_try(self) -> bool:
        self._attempts += 1
        if self._attempts > MOST_ATTEMPTS:
            self.connection.disconnect(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
                "Too many keys and passwords were tried. Use ssh -o IdentitiesOnly=yes -i KEY.",
            )
            return False
        return True

    @property
    def caller(self) -> Caller:
        """Return who stands here; of our own web terminal, whose browser it is. Raises
        LookupError where nobody was recognised.
        """
        if self._candidate is None:
            raise LookupError("nobody was recognised on this connection")
        proof = _PROOFS[type(self._candidate)]
        return Caller(
            user=self._candidate.user,
            door=Door(getattr(self._candidate, "door", Door.SSH)),
            proof=proof,
            source_address=getattr(self._candidate, "source_address", "") or self.source_address,
            client=getattr(self._candidate, "client", "")
            or str(self.connection.get_extra_info("client_version") or ""),
        )

    @property
    def wanted(self) -> str:
        """Return which grant is meant: passwords and certificates are good for one alone."""
        if isinstance(self._candidate, OneUseToken):
            return str(self._candidate.grant_id)
        if isinstance(self._candidate, Grant):
            return str(self._candidate.pk)
        return self._wanted

    # --- What do they open ------------------------------------------------------------

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return self._admitted()  # type: ignore[return-value] # asyncssh awaits it

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> asyncssh.SSHTCPSession[bytes]:
        return open_forward(self, dest_host, dest_port, orig_host, orig_port)  # type: ignore[return-value] # asyncssh awaits it

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        return refusals.refuse(self, f"the person, from {listen_host or '*'}:{listen_port}")

    def unix_server_requested(self, listen_path: str) -> bool:
        return refusals.refuse(self, f"the person, from {listen_path}")

    def unix_connection_requested(self, dest_path: str) -> bool:
        return refusals.refuse(self, dest_path)

    def tun_requested(self, unit: int | None) -> bool:  # noqa: ARG002 -- asyncssh's signature
        return refusals.refuse(self, "a network device")

    def tap_requested(self, unit: int | None) -> bool:  # noqa: ARG002 -- asyncssh's signature
        return refusals.refuse(self, "a network device")

    async def _admitted(self) -> Front:
        """Return the session of a channel that was just asked for."""
        try:
            front = await self._admit()
        except DomainError as refusal:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, refusal.detail
            ) from refusal
        except asyncssh.ChannelOpenError:
            raise
        except Exception as failure:
            log.exception("a session could not be opened")
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_CONNECT_FAILED,
                "The gateway could not open your session just now. Try again; your operators "
                "find why in its log.",
            ) from failure
        return front

    async def _admit(self) -> Front:
        caller = self.caller
        admitted: Admission = await self.gateway.house.ask(
            admission.authorise,
            wanted=self.wanted,
            kind="ssh",
            caller=caller,
            gateway=self.gateway.house.gateway,
            host=self._host,
        )
        if caller.proof is Proof.KEY:
            await self.gateway.house.ask(keys.note_used, key=self._candidate)
        front = Front(self, admitted)
        front.start_recording()
        self.fronts.add(front)
        return front

    async def forwarding_session(self) -> Front:
        """Return the session that this connection's forwards are recorded in."""
        if self._forwarding is None or (
            self._forwarding.done() and self._forwarding.exception() is not None
        ):
            self._forwarding = self.gateway.house.spawn(self._open_forwarding())
        return await asyncio.shield(self._forwarding)

    async def _open_forwarding(self) -> Front:
        front = await self._admitted()
        await front.begin_without_a_channel()
        return front

    async def upstream(self, admitted: Admission) -> asyncssh.SSHClientConnection:
        """Return the connection to the host, made once for all that this person opens."""
        if self._upstream is None or _is_dead(self._upstream):
            self._upstream = self.gateway.house.spawn(
                upstream.connect(admission=admitted, host_name=self._host, house=self.gateway.house)
            )
        return await asyncio.shield(self._upstream)


def _is_dead(task: asyncio.Task[asyncssh.SSHClientConnection]) -> bool:
    if not task.done():
        return False
    return task.cancelled() or task.exception() is not None or task.result().is_closed()
