"""Who acts when an operator works at the installation's own terminal."""

from __future__ import annotations

import getpass

from jit.kernel.actor import Actor, ActorKind, Channel


def terminal_actor() -> Actor:
    """Return an actor named after the system account, `terminal:<name>`: somebody with a shell
    on the machine is known by that and by nothing else.
    """
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "unknown"
    return Actor(
        kind=ActorKind.SERVICE, id=f"terminal:{name}", name=f"terminal:{name}", channel=Channel.CLI
    )
