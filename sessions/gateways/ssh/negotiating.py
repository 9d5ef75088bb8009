"""Which ciphers a connection is offered: AES-GCM to whoever has it, AES-CTR to those who don't.

Of what both sides list, the client's first is taken (RFC 4253, 7.1), and OpenSSH before 10 lists
AES-CTR before AES-GCM, which is the faster one here. So the client is heard first.

A client may send the first packet of the key exchange together with its lists, as a guess at what
both will choose; dropbear does. asyncssh takes the guess for right where what it guessed is chosen.
By the RFC it is right only where both sides list that first; a wrong one is passed over, and the
client sends another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import asyncssh
from asyncssh.constants import MSG_KEXINIT
from asyncssh.packet import SSHPacket

GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
"""Not ChaCha20: asyncssh makes three OpenSSL contexts a packet for it."""
CIPHERS = (*GCM, "aes256-ctr")
"""AES-CTR for what has no AES-GCM: libssh2 before 1.11 (Debian's curl), dropbear."""
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
"""For AES-CTR; libssh2 1.10 knows the last two alone."""
HEARD_WITHIN = 1.0
"""Seconds after which a client that waits to hear us first hears us."""
_COOKIE = 17
"""Bytes before the lists of a KEXINIT, its type among them (RFC 4253, 7.1)."""


class Negotiating(asyncssh.SSHServerConnection):
    """Offers its ciphers once the client said which it has. asyncssh has no place to say so:
    `take_over` makes a connection of its own one of these.
    """

    _unsaid: asyncio.TimerHandle | None = None
    _heard = False

    @classmethod
    def take_over(cls, connection: asyncssh.SSHServerConnection) -> None:
        """Negotiate for a connection that has just been made and has said nothing yet."""
        connection.__class__ = cls

    def _send_kexinit(self) -> None:
        if self._heard:
            super()._send_kexinit()
        else:
            self._unsaid = asyncio.get_running_loop().call_later(HEARD_WITHIN, self._say, CIPHERS)

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> bool | Awaitable[None]:
        """Answer the first KEXINIT with ours, and pass over what follows a wrong guess."""
        if pkttype != MSG_KEXINIT:
            return super().process_packet(pkttype, pktid, packet)
        theirs = packet.get_full_payload()
        if not self._heard:
            self._say(GCM if _has_gcm(theirs) else CIPHERS)
        return self._exchange(theirs, super().process_packet(pkttype, pktid, packet))

    async def _exchange(self, theirs: bytes, going_on: bool | Awaitable[None]) -> None:
        if not isinstance(going_on, bool):
            await going_on
        # No other packet is looked at before this one is done with.
        self._ignore_first_kex = _guessed_wrong(theirs, self._server_kexinit)

    def _say(self, ciphers: tuple[str, ...]) -> None:
        self._heard = True
        if self._unsaid is not None:
            self._unsaid.cancel()
        if self._transport is not None:
            self._enc_algs = [name.encode() for name in ciphers]
            super()._send_kexinit()


def _has_gcm(kexinit: bytes) -> bool:
    """Return whether a client's KEXINIT lists AES-GCM for both directions."""
    _kex, _host_keys, to_us, to_them, *_ = _lists(SSHPacket(kexinit))
    ours = {name.encode() for name in GCM}
    return bool(ours & set(to_us)) and bool(ours & set(to_them))


def _guessed_wrong(theirs: bytes, ours: bytes) -> bool:
    """Return whether a packet follows the client's KEXINIT that is of no use: another key exchange
    or another kind of host key stands first in our lists than in the client's.
    """
    packet = SSHPacket(theirs)
    lists = _lists(packet)
    follows = packet.get_boolean()
    first = [names[:1] for names in lists[:2]]
    return follows and first != [names[:1] for names in _lists(SSHPacket(ours))[:2]]


def _lists(packet: SSHPacket) -> list[Sequence[bytes]]:
    """Return the ten lists of a KEXINIT (RFC 4253, 7.1), and leave the packet behind them."""
    packet.get_bytes(_COOKIE)
    return [packet.get_namelist() for _ in range(10)]
