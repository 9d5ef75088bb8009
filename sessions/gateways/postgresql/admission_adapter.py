"""Admits people and looks after their sessions, by the database, the recorder and the connector."""

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
from jit.kernel import db
from jit.kernel.errors import DomainError, NotAllowed
from jit.workflow import reach as workflow
from jit.workflow.credential import CredentialBusy
from sessions import queries
from sessions.gateways.interfaces import LiveSession, RecordingSink
from sessions.gateways.postgresql.entry.authentication import NO_ENTRY, USED
from sessions.gateways.postgresql.interfaces import (
    AccessRefused,
    AdmittedSession,
    AuthenticationAttempt,
    RunningSession,
    TargetConnection,
)
from sessions.gateways.postgresql.offer import VERIFIER, databases
from sessions.gateways.postgresql.protocol import scram
from sessions.gateways.supervisor import SessionSupervisor
from sessions.models import GatewayProcess, OneUseToken
from sessions.operations import admission, lifecycle, tokens
from sessions.operations.admission import Admission, Caller
from sessions.operations.lifecycle import Closing
from sessions.recording.recorder import Recorder
from sessions.recording.spool import SpoolUnavailable
from sessions.recording.writer import RecordingWriter
from sessions.states import ClosedBecause, Door, Proof

log = logging.getLogger(__name__)

KIND = "postgresql"
_COLUMNS, _ROWS = 120, 40
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between two looks at a credential that is being made."""


class AdmissionAdapter:
    """The `interfaces.SessionBroker` of a gateway process."""

    def __init__(self, *, supervisor: SessionSupervisor, recorder: Recorder) -> None:
        self._supervisor = supervisor
        self._recorder = recorder
        self._targets: dict[UUID, Admission] = {}

    def salt(self, name: str) -> bytes:
        return scram.salt_of(_external_name(name))

    async def verifiers(self, name: str) -> Sequence[scram.Verifier]:
        known = await self._supervisor.ask(_tokens, name=name)
        return [scram.read(token.verifier[VERIFIER]) for token in known]

    async def admit(self, attempt: AuthenticationAttempt) -> AdmittedSession:
        # Once begun it is finished, whoever hangs up meanwhile: its session must be closed.
        work = self._supervisor.spawn(self._open(attempt), awaited=True)
        try:
            opened, target_connection = await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(self._nobody_came)
            raise
        except _Refused as refused:
            if refused.session_id:
                self._over(refused.session_id, ClosedBecause.LOST, str(refused))
            raise AccessRefused(str(refused)) from None
        except DomainError as refusal:
            raise AccessRefused(refusal.detail) from None
        self._targets[opened.session_id] = opened
        return AdmittedSession(
            session_id=opened.session_id,
            grant_id=opened.grant_id,
            person=opened.username,
            target=opened.target,
            role=opened.role,
            over_at=opened.over_at,
            record=opened.record,
            target_connection=target_connection,
        )

    async def _open(self, attempt: AuthenticationAttempt) -> tuple[Admission, TargetConnection]:
        """Open a session and return how its target is reached. Raises DomainErrors."""
        opened = await self._supervisor.ask(
            _admit, attempt=attempt, gateway=self._supervisor.gateway
        )
        try:
            return opened, _reach(opened, await self._credential(opened))
        except DomainError as refusal:
            raise _Refused(refusal.detail, opened.session_id) from refusal
        except Exception as failure:
            log.exception("session %s could not begin", opened.session_id)
            said = "The gateway could not open your session."
            raise _Refused(said, opened.session_id) from failure

    async def _credential(self, opened: Admission) -> Mapping[str, Any]:
        """Return the target's own credential; where another log-in of the grant is just getting
        it, as with a pool that opens its connections at once, wait for that.
        """
        for pause in _PAUSES:
            try:
                return await self._supervisor.ask(workflow.reach, grant_id=opened.grant_id)
            except CredentialBusy:
                await asyncio.sleep(pause)
        return await self._supervisor.ask(workflow.reach, grant_id=opened.grant_id)

    def record(
        self, admitted: AdmittedSession, on_failure: Callable[[str], None]
    ) -> RecordingWriter | None:
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
                raise AccessRefused(str(unavailable)) from unavailable
            return None

    async def enter(self, admitted: AdmittedSession, live: RunningSession) -> None:
        self._supervisor.register(
            session_id=admitted.session_id,
            live=_AsLiveSession(live),
            over_at=admitted.over_at,
        )
        await self._supervisor.ask(lifecycle.went_live, session_id=admitted.session_id)

    async def leave(
        self, admitted: AdmittedSession, recording: RecordingSink | None, because: str, comment: str
    ) -> None:
        self._targets.pop(admitted.session_id, None)
        if isinstance(recording, RecordingWriter):
            await recording.close()
        why = ClosedBecause(because)
        # One that the gateway ended had its connection to the target until then.
        by_itself = why in {ClosedBecause.LOGOUT, ClosedBecause.LOST}
        self._over(admitted.session_id, why, comment, connections=int(not by_itself))

    async def terminate(self, admitted: AdmittedSession, pid: int) -> None:
        opened = self._targets[admitted.session_id]
        await self._supervisor.ask(
            _terminate,
            config=opened.target_config,
            external_name=opened.external_name,
            pid=pid,
        )

    def _over(
        self, session_id: UUID, because: ClosedBecause, comment: str, *, connections: int = 0
    ) -> None:
        self._supervisor.unregister(
            Closing(
                session_id=session_id,
                because=because,
                comment=comment[:1000],
                ended={"connections": connections},
            )
        )

    def _nobody_came(self, work: asyncio.Task[tuple[Admission, TargetConnection]]) -> None:
        if not work.cancelled() and work.exception() is None:
            said = "Nobody waited for the answer at the door."
            self._over(work.result()[0].session_id, ClosedBecause.LOST, said)


class _AsLiveSession(LiveSession):
    """A session as the supervisor knows it."""

    def __init__(self, live: RunningSession) -> None:
        self._live = live

    def warn(self, sentence: str) -> Awaitable[None]:  # type: ignore[override] # a coroutine is one
        return self._live.warn(sentence)

    async def end(self, because: ClosedBecause, sentence: str) -> None:
        await self._live.end(because.value, sentence)

    def abort(self) -> None:
        self._live.abort()


class _Refused(NotAllowed):
    """Nobody comes in; a session that was opened for them in the database is to be closed."""

    def __init__(self, sentence: str, session_id: UUID | None = None) -> None:
        super().__init__(sentence)
        self.session_id = session_id


def _tokens(name: str) -> list[OneUseToken]:
    """Return the newest passwords of the grant with this name on its target, or with this id."""
    return tokens.newest(external_name=_external_name(name), door=Door.POSTGRESQL)


def _external_name(name: str) -> str:
    try:
        return f"jit_{UUID(name).hex}"
    except ValueError:
        return name[:63]


def _admit(attempt: AuthenticationAttempt, gateway: GatewayProcess) -> Admission:
    """Use the password up, and ask whether its grant may be used."""
    wanted, caller = _caller(attempt)
    return admission.authorise(wanted=wanted, kind=KIND, caller=caller, gateway=gateway)


def _caller(attempt: AuthenticationAttempt) -> tuple[str, Caller]:
    if attempt.proof == "certificate":
        grant = queries.grant_named(_external_name(attempt.name))
        if grant is None:
            raise _Refused("The grant of this certificate is not known here.")
        wanted, user, proof = str(grant.pk), grant.user, Proof.CERTIFICATE
    else:
        proven = (t for t in _tokens(attempt.name) if t.verifier[VERIFIER] == str(attempt.verifier))
        token = next(proven, None)
        used = token and tokens.redeem_proven(token=token, door=Door.POSTGRESQL)
        if used is None:
            raise _Refused(_why_dead(token))
        wanted, user, proof = str(used.grant_id), used.user, Proof.TOKEN
    return wanted, Caller(
        user=user,
        door=Door.POSTGRESQL,
        proof=proof,
        source_address=attempt.source_address,
        client=attempt.client,
    )


def _why_dead(token: OneUseToken | None) -> str:
    """Return what somebody is told who knows this password, though it opens nothing now."""
    if token is None or not token.user.is_active:
        return NO_ENTRY
    grant = queries.grant_named(token.grant.external_name)
    return (grant and admission.why_over(grant, db.now())) or USED


def _reach(opened: Admission, credential: Mapping[str, Any]) -> TargetConnection:
    """Return the way that the connector itself takes to the target, not that of people."""
    config = PostgreSQLConfig.parse(opened.target_config)
    role = PostgreSQLRole.parse(opened.role_config)
    reached = databases(config, role)
    return TargetConnection(
        host=config.host,
        port=config.port,
        database=reached[0],
        databases=reached,
        user=str(credential["user"]),
        password=str(credential["password"]),
        options=str(credential.get("options", "")),
        role=role.member_of,
        connection_limit=config.connection_limit,
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
