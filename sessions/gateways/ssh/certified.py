"""Certificates at the SSH door: accepted by their own facts, refused with a sentence.

asyncssh accepts a certificate only where the log-in name is one of its principals, and says
nothing of why it refuses one. Here the log-in name may be a role's: as a principal it could open
a host directly, so it must not be one.
"""

from __future__ import annotations

from typing import cast

import asyncssh
from asyncssh.public_key import SSHOpenSSHCertificate

from sessions.gateways.ssh.interfaces import IncomingConnection
from sessions.gateways.ssh.negotiating import Negotiating
from sessions.gateways.ssh.server_channel import ServerChannel

type Judged = str | None
"""Of a certificate: None where it is not ours, else why it is refused, empty where it is not."""


class Certified(Negotiating):
    """Has each certificate judged by `recognise_certificate`. Who holds the key of one that is ours
    is told why it is refused, in the banner that clients show; whoever shows the certificate alone
    is not.
    """

    _refusal: Judged = None

    def create_server_channel(
        self, encoding: str | None = "", errors: str = "", window: int = 0, max_pktsize: int = 0
    ) -> asyncssh.SSHServerChannel[bytes]:
        channel: asyncssh.SSHServerChannel[bytes]
        channel = super().create_server_channel(encoding, errors, window, max_pktsize)
        ServerChannel.take_over(channel)
        return channel

    async def _validate_openssh_certificate(
        self, username: str, cert: SSHOpenSSHCertificate
    ) -> asyncssh.SSHKey | None:
        client = cast("IncomingConnection", self._owner)
        line = cert.export_certificate().decode()
        self._refusal = await client.recognise_certificate(username, line)
        if self._refusal is None:
            return None
        if not self._refusal:
            self._key_options, self._cert_options = {}, cert.options
        return cert.key

    async def validate_public_key(
        self, username: str, key_data: bytes, msg: bytes, signature: bytes
    ) -> bool:
        """Return whether a key or a certificate proves who it is: `msg` and `signature` are
        empty while the client only asks whether it would.
        """
        self._refusal = None
        proven = await super().validate_public_key(username, key_data, msg, signature)
        if proven and msg and self._refusal:
            self.send_auth_banner(f"{self._refusal}\n")
            return False
        return proven
