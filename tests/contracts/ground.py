"""What the kit needs to know of a target, seen with its own eyes and never through a connector."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from jit.connectors.base import Connector, Context, GrantSpec
from jit.kernel import clock
from tests.contracts.proxy import Proxy


def until(holds: Callable[[], bool], *, seconds: float = 10) -> bool:
    """Return whether `holds()` comes true in time, looking every 10 ms."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


type Blocker = Callable[[GrantSpec, Mapping[str, str]], AbstractContextManager[None]]
"""What holds up a revocation of the grant, with this credential, for as long as it is entered."""


class Session(ABC):
    """An open connection of a person's."""

    @abstractmethod
    def works(self) -> bool: ...

    @abstractmethod
    def close(self) -> None: ...


class Ground(ABC):
    """One target and a way to make connectors for it.

    `patience` stretches the times that the kit gives a call, where connecting alone takes longer;
    `shortest` is the briefest grant, in seconds, that can be tried before it is over, and by
    `ends_early` seconds at most the target ends one before its time;
    `says_goodbye` where a connection is taken leave of after all was said, so that what is lost
    then is no loss; `can_resist` where something can be kept from being removed;
    `cuts_before_it_tells` is the step whose answer alone says what it cut: who dies right after
    it takes that along.
    """

    patience: float = 1
    shortest: float = 1.5
    ends_early: float = 0.05
    says_goodbye: bool = False
    can_resist: bool = True
    cuts_before_it_tells: str = ""

    @abstractmethod
    def connector(self, context: Context | None = None, *, port: int | None = None) -> Connector:
        """Return a new connector, to a proxy's `port` if given."""

    @abstractmethod
    def proxy(self) -> Proxy: ...

    @abstractmethod
    def role_config(self) -> Mapping[str, Any]: ...

    @abstractmethod
    def names(self) -> set[str]:
        """Return everything under our mark."""

    @abstractmethod
    def usable_beyond(self, deadline: dt.datetime) -> set[str]:
        """Return what still lets somebody in and holds no deadline, or one after `deadline`."""

    @abstractmethod
    def proves(self, evidence: Mapping[str, Any]) -> bool:
        """Return whether the evidence of a revocation says that nothing was found any more."""

    @abstractmethod
    def secret(self, credential: Mapping[str, str]) -> str:
        """Return what must be in no journal."""

    @abstractmethod
    def log_in(self, credential: Mapping[str, str]) -> Session | None:
        """Return a session that can do what the role is for, or None if it was refused."""

    @abstractmethod
    def lose(self, name: str) -> None:
        """Remove it behind our back."""

    def poison(self, name: str) -> None:
        """Make it impossible to remove with the connector's rights (where it `can_resist`)."""
        raise NotImplementedError

    @abstractmethod
    def blockers(self) -> Mapping[str, Blocker]:
        """Return by what somebody on the target can hold up a revocation, each by its name."""

    def cure(self, name: str) -> None:
        raise NotImplementedError

    @abstractmethod
    def settled(self) -> bool:
        """Whether the target has done with all connections of our service account."""

    @abstractmethod
    def reset(self) -> None:
        """Remove everything under our mark, with the target's highest rights."""

    def spec(self, *, seconds: float = 300, grant_id: str = "") -> GrantSpec:
        grant_id = grant_id or secrets.token_hex(16)
        return GrantSpec(
            grant_id=grant_id,
            external_name=f"jit_{grant_id}",
            principal="rita",
            role_config=self.role_config(),
            ends_at=clock.now() + dt.timedelta(seconds=seconds),
        )

    def lets_in(self, credential: Mapping[str, str]) -> bool:
        session = self.log_in(credential)
        if session:
            session.close()
        return session is not None
