"""One connection at the SSH door: who is it, and what do they open.

Identity comes from the credential alone: the log-in name only says which of one's own grants
is wanted (`web-1-operator`, or `web-1-operator+db-2` for another host of the target).
"""

from __future__ import annotations

import asyncio
import contextlib

import asyncssh

from jit.elevation.models import Grant
from jit.kernel.errors import DomainError
from sessions import queries
from sessions.fingerprints import fingerprint_of
from sessions.gateways.ssh import open_failure, refusals, turns
from sessions.gateways.ssh.certified import Certified, Judged
from sessions.gateways.ssh.forwards import open_forward
from sessions.gateways.ssh.frontend_session import FrontendSession
from sessions.gateways.ssh.interfaces import Frontend, GatewayServer
from sessions.models import OneUseToken, SshKey
from sessions.operations import admission, certificates, keys, tokens
from sessions.operations.admission import Admission, Caller
from sessions.states import ClosedBecause, Door, Proof

HEARD_WITHIN = 0.5
"""Seconds in which a client takes what it is told at the end, before its line is closed."""
LONGEST_GOODBYE = 300
MOST_ATTEMPTS = 12
"""Keys and passwords tried on one connection; an agent may offer a handful."""
_PROOFS = {SshKey: Proof.KEY, OneUseToken: Proof.TOKEN, Grant: Proof.CERTIFICATE}
BANNER = (
    "This gateway records what is done through it.\n"
    "Come in with a key of your account page, or with a password or certificate of your grant.\n"
)


class ClientConnection(asyncssh.SSHServer):
    """asyncssh's view of one connection."""

    def __init__(self, gateway: GatewayServer) -> None:
        self.gateway = gateway
        self.connection: asyncssh.SSHServerConnection
        self._candidate: SshKey | OneUseToken | Grant | None = None
        self._attempts = 0
        self._wanted = ""
        self.host = ""
        """Which host of the target is meant; empty: its first."""
        self.fronts: set[Frontend] = set()
        self._forwarding: FrontendSession | None = None
        self._begins_forwarding = asyncio.Lock()
        self._gone = False

    # --- The connection ---------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        Certified.take_over(conn)
        refusals.note_on(conn, self)
        if not self.gateway.take_place(self):
            conn.disconnect(
                asyncssh.DISC_TOO_MANY_CONNECTIONS,
                "The gateway is full, or too many connections come from your address.",
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self.gateway.leave_place(self)
        for front in list(self.fronts):
            front.person_is_gone(broken=exc is not None)

    def session_was_ended(self, front: Frontend, sentence: str) -> None:
        """Close the person's line, too, once nothing else lives on it: a client that forwards
        alone, or waits for more to do, would not notice the end.
        """
        if not self.fronts:
            self.gateway.supervisor.spawn(self._say_goodbye(front, sentence))

    async def _say_goodbye(self, front: Frontend, sentence: str) -> None:
        if front.channel is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARD_WITHIN):
                    await front.channel.wait_closed()
        if not self.fronts:
            self.connection.disconnect(asyncssh.DISC_BY_APPLICATION, sentence[:LONGEST_GOODBYE])

    @property
    def source_address(self) -> str:
        peer = self.connection.get_extra_info("peername")
        return str(peer[0]) if peer else ""

    # --- Who is it --------------------------------------------------------------------

    def begin_auth(self, username: str) -> bool:
        self._candidate = None
        self._wanted, _, self.host = username.partition("+")
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
        self._candidate = await self.gateway.supervisor.ask(
            queries.owner_of_key, fingerprint=fingerprint_of(line)
        )
        return self._candidate is not None

    async def recognise_certificate(self, username: str, line: str) -> Judged:
        """Remember whose certificate it is: see `Certified`, which asks this of each."""
        self._candidate = None
        if not self._may_try():
            return None
        known = await self.gateway.supervisor.ask(
            certificates.recognise, line=line, wanted=username.partition("+")[0]
        )
        if known is None:
            return None
        if not known.refusal:
            self._candidate = known.grant
        return known.refusal

    def password_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002 -- as above
        self._candidate = None
        if not self._may_try():
            return False
        for door in (Door.SSH, Door.WEB):
            self._candidate = await self.gateway.supervisor.ask(
                tokens.redeem, plain=password, door=door
            )
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
            login_name=self._wanted,
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

    @turns.one_at_a_time
    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        # As tasks, which asyncssh awaits: a line that closes at this moment leaves none unrun.
        return self.gateway.supervisor.spawn(self._admitted(), awaited=True)  # type: ignore[return-value]

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> asyncssh.SSHTCPSession[bytes]:
        opening = open_forward(self, dest_host, dest_port, orig_host, orig_port)
        return self.gateway.supervisor.spawn(opening, awaited=True)  # type: ignore[return-value]

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

    async def _admitted(self) -> FrontendSession:
        """Return the session of a channel that was just asked for."""
        with open_failure.with_a_sentence("a session"):
            return await self._admit()

    async def _admit(self) -> FrontendSession:
        caller = self.caller
        if isinstance(self._candidate, SshKey):
            await self.gateway.supervisor.ask(keys.use, key=self._candidate)
        admitted: Admission = await self.gateway.supervisor.ask(
            admission.authorise,
            wanted=self.wanted,
            kind="ssh",
            caller=caller,
            gateway=self.gateway.supervisor.gateway,
            host=self.host,
        )
        front = FrontendSession(self, admitted)
        front.start_recording()
        self.fronts.add(front)
        if self._gone:  # Nobody waits for the answer any more.
            front.person_is_gone(broken=True)
        return front

    async def forwarding_session(self) -> FrontendSession:
        """Return the session that this connection's forwards are recorded in, and ask for each
        whether it may go on: a new one begins where what it was opened for is not so any more.
        """
        async with self._begins_forwarding:
            front = self._forwarding
            if front is None or front.over:
                front = self._forwarding = await self._begin_forwarding()
                return front
        if isinstance(self._candidate, SshKey):
            await self.gateway.supervisor.ask(keys.use, key=self._candidate)
        if await self.gateway.supervisor.ask(
            admission.holds_still, admitted=front.admitted, caller=self.caller
        ):
            return front
        async with self._begins_forwarding:
            if self._forwarding is front:
                self._forwarding = await self._begin_forwarding()
            return self._forwarding or front

    async def _begin_forwarding(self) -> FrontendSession:
        front = await self._admit()
        try:
            await front.begin_without_a_channel()
        except DomainError as refusal:
            front.note_end(ClosedBecause.LOST, refusal.detail, None)
            raise
        except BaseException:
            front.note_end(ClosedBecause.LOST, "The gateway could not open it.", None)
            raise
        return front
