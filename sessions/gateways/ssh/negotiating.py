"""Which ciphers a connection is offered: AES-GCM to whoever has it, AES-CTR to those who don't.

Of what both sides list, the client's first is taken (RFC 4253, 7.1), and OpenSSH before 10 lists
AES-CTR before AES-GCM, which is the faster one here. So the client is heard first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

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
        """Answer the first KEXINIT with ours."""
        if pkttype == MSG_KEXINIT and not self._heard:
            self._say(GCM if _has_gcm(packet.get_full_payload()) else CIPHERS)
        return super().process_packet(pkttype, pktid, packet)

    def _say(self, ciphers: tuple[str, ...]) -> None:
        self._heard = True
        if self._unsaid is not None:
            self._unsaid.cancel()
        if self._transport is not None:
            self._enc_algs = [name.encode() for name in ciphers]
            super()._send_kexinit()


def _has_gcm(kexinit: bytes) -> bool:
    """Return whether a client's KEXINIT lists AES-GCM for both directions."""
    packet = SSHPacket(kexinit)
    packet.get_bytes(_COOKIE)
    _kex, _host_keys, to_us, to_them = (packet.get_namelist() for _ in range(4))
    ours = {name.encode() for name in GCM}
    return bool(ours & set(to_us)) and bool(ours & set(to_them))
