"""The house that the proxy stands in: its books, its recorder, its connector."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from jit.connectors import registry
from jit.connectors.base import ConnectorError
from jit.connectors.postgresql import PostgreSQL
from jit.connectors.postgresql.config import PostgreSQLConfig, PostgreSQLRole
from jit.kernel.errors import DomainError
from jit.workflow import reach as workflow
from sessions import queries
from sessions.gateways.house import House, LiveSession
from sessions.gateways.postgresql import scram
from sessions.gateways.postgresql.door import NO_ENTRY
from sessions.gateways.postgresql.offer import VERIFIER, databases
from sessions.gateways.postgresql.parts import Admitted, Knock, Live, NotLetIn, Reach
from sessions.gateways.postgresql.parts import Tape as AnyTape
from sessions.models import GatewayProcess, OneUseToken
from sessions.operations import admission, moving, tokens
from sessions.operations.admission import Admission, Caller
from sessions.operations.moving import Closing
from sessions.recording.recorder import Recorder
from sessions.recording.spool import SpoolUnavailable
from sessions.recording.tape import Tape
from sessions.states import ClosedBecause, Door, Proof

log = logging.getLogger(__name__)

KIND = "postgresql"
_COLUMNS, _ROWS = 120, 40


class Keeper:
    """What `parts.House` asks for, by the books, the recorder and the connector."""

    def __init__(self, *, house: House, recorder: Recorder) -> None:
        self._house = house
        self._recorder = recorder
        self._targets: dict[UUID, Admission] = {}

    async def verifiers(self, name: str) -> Sequence[scram.Verifier]:
        token = await self._house.ask(_token, name=name)
        return [] if token is None else [scram.read(token.verifier[VERIFIER])]

    async def admit(self, knock: Knock) -> Admitted:
        # Once begun it is finished, whoever hangs up meanwhile: its session must be closed.
        work = self._house.spawn(self._house.ask(_admit, knock=knock, gateway=self._house.gateway))
        try:
            opened, reach = await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(self._nobody_came)
            raise
        except _Refused as refused:
            if refused.session_id:
                self._over(refused.session_id, ClosedBecause.LOST, str(refused))
            raise NotLetIn(str(refused)) from None
        except DomainError as refusal:
            raise NotLetIn(refusal.detail) from None
        self._targets[opened.session_id] = opened
        return Admitted(
            session_id=opened.session_id,
            grant_id=opened.grant_id,
            person=opened.username,
            target=opened.target,
            role=opened.role,
            over_at=opened.over_at,
            record=opened.record,
            reach=reach,
        )

    def record(self, admitted: Admitted, on_failure: Callable[[str], None]) -> Tape | None:
        if admitted.record == "none":
            return None
        try:
            return self._recorder.open(
                session_id=admitted.session_id,
                header={
                    "term": {"cols": _COLUMNS, "rows": _ROWS},
                    "title": f"{admitted.person} as {admitted.role} on {admitted.target}",
                },
                on_failure=lambda _, why: on_failure(why),
            )
        except SpoolUnavailable as unavailable:
            log.exception("session %s is not recorded", admitted.session_id)
            if admitted.record == "required":
                raise NotLetIn(str(unavailable)) from unavailable
            return None

    async def enter(self, admitted: Admitted, live: Live) -> None:
        self._house.welcome(
            session_id=admitted.session_id,
            live=_Welcomed(live),
            over_at=admitted.over_at,
        )
        await self._house.ask(moving.went_live, session_id=admitted.session_id)

    async def leave(
        self, admitted: Admitted, tape: AnyTape | None, because: str, comment: str
    ) -> None:
        self._targets.pop(admitted.session_id, None)
        if isinstance(tape, Tape):
            await tape.close()
        self._over(admitted.session_id, ClosedBecause(because), comment)

    async def terminate(self, admitted: Admitted, pid: int) -> None:
        opened = self._targets[admitted.session_id]
        await self._house.ask(
            _terminate,
            config=opened.target_config,
            external_name=opened.external_name,
            pid=pid,
        )

    def _over(self, session_id: UUID, because: ClosedBecause, comment: str) -> None:
        self._house.farewell(
            Closing(session_id=session_id, because=because, comment=comment[:1000])
        )

    def _nobody_came(self, work: asyncio.Task[tuple[Admission, Reach]]) -> None:
        if not work.cancelled() and work.exception() is None:
            said = "Nobody waited for the answer at the door."
            self._over(work.result()[0].session_id, ClosedBecause.LOST, said)


class _Welcomed(LiveSession):
    """A session as the house knows it."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def warn(self, sentence: str) -> Awaitable[None]:  # type: ignore[override] # a coroutine is one
        return self._live.warn(sentence)

    async def end(self, because: ClosedBecause, sentence: str) -> None:
        await self._live.end(because.value, sentence)

    def abort(self) -> None:
        self._live.abort()


class _Refused(Exception):
    """A session was opened in the books and can't begin."""

    def __init__(self, sentence: str, session_id: UUID | None = None) -> None:
        super().__init__(sentence)
        self.session_id = session_id


def _token(name: str) -> OneUseToken | None:
    """Return the unused password of the grant with this name on its target, or with this id."""
    return tokens.waiting(external_name=_external_name(name), door=Door.POSTGRESQL)


def _external_name(name: str) -> str:
    try:
        return f"jit_{UUID(name).hex}"
    except ValueError:
        return name[:63]


def _admit(knock: Knock, gateway: GatewayProcess) -> tuple[Admission, Reach]:
    """Use the password up, ask whether its grant may be used, and how its target is reached."""
    wanted, caller = _caller(knock)
    opened = admission.authorise(wanted=wanted, kind=KIND, caller=caller, gateway=gateway)
    try:
        credential = workflow.reach(grant_id=opened.grant_id)
    except DomainError as refusal:
        raise _Refused(refusal.detail, opened.session_id) from refusal
    except BaseException as failure:
        raise _Refused("The gateway could not open your session.", opened.session_id) from failure
    return opened, _reach(opened, credential)


def _caller(knock: Knock) -> tuple[str, Caller]:
    if knock.proof == "certificate":
        grant = queries.active_grant_named(_external_name(knock.name))
        if grant is None:
            raise _Refused(NO_ENTRY)
        wanted, user, proof = str(grant.pk), grant.user, Proof.CERTIFICATE
    else:
        token = _token(knock.name)
        if token is None or token.verifier[VERIFIER] != str(knock.verifier):
            raise _Refused(NO_ENTRY)
        used = tokens.redeem_proven(token=token, door=Door.POSTGRESQL)
        if used is None:
            raise _Refused(NO_ENTRY)
        wanted, user, proof = str(used.grant_id), used.user, Proof.TOKEN
    return wanted, Caller(
        user=user,
        door=Door.POSTGRESQL,
        proof=proof,
        source_address=knock.source_address,
        client=knock.client,
    )


def _reach(opened: Admission, credential: Mapping[str, Any]) -> Reach:
    """Return the way that the connector itself takes to the target, not that of people."""
    config = PostgreSQLConfig.parse(opened.target_config)
    reached = databases(config, PostgreSQLRole.parse(opened.role_config))
    return Reach(
        host=config.host,
        port=config.port,
        database=reached[0],
        databases=reached,
        user=str(credential["user"]),
        password=str(credential["password"]),
        options=str(credential.get("options", "")),
        sslmode=config.ssl,
        sslrootcert=config.sslrootcert or "",
        require_auth=config.require_auth,
        connect_timeout=float(config.connect_timeout),
    )


def _terminate(config: Mapping[str, Any], external_name: str, pid: int) -> None:
    connector = registry.connector_for(KIND, config)
    if not isinstance(connector, PostgreSQL):
        raise TypeError(f"the connector of {KIND} is another one")
    try:
        connector.end_backend(external_name, pid)
    except ConnectorError as failure:
        log.warning("backend %d of %s: %s", pid, external_name, failure)
