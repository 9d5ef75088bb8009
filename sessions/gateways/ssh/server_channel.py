"""The person's end of a session's channel: it stays until the program's exit status is told."""

from __future__ import annotations

import asyncssh
from asyncssh.constants import MSG_CHANNEL_CLOSE
from asyncssh.packet import SSHPacket


class ServerChannel(asyncssh.SSHServerChannel[bytes]):
    """A client that has sent and been told the end of all data may close its channel; OpenSSH's
    does where it multiplexes (ControlMaster, Ansible). asyncssh closes its side too at once, and an
    exit status that the host tells after the end of its output is lost: ssh ends with 255. As
    sshd does, this one answers the close only after the status (RFC 4254, 5.3: what was begun may
    be sent until then).
    """

    _answers_later = False

    @classmethod
    def take_over(cls, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        """Make one of these of a channel that has just been made."""
        channel.__class__ = cls

    def _process_close(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        if self._send_state in {"eof_pending", "eof"} and self._recv_state == "eof":
            packet.check_end()
            self._answers_later = True
        else:
            super()._process_close(pkttype, pktid, packet)

    def _close_send(self) -> None:
        super()._close_send()
        if self._answers_later:
            self._answers_later = False
            self._recv_state = "close_pending"
            self._flush_recv_buf()

    _packet_handlers = {
        **asyncssh.SSHServerChannel._packet_handlers,  # noqa: SLF001 -- a table of the methods
        MSG_CHANNEL_CLOSE: _process_close,
    }
