"""What a one-use password opens at the SSH gateway: one connection, on it one session at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh
import pytest

from jit.catalog.models import Role
from sessions.models import AccessSession
from sessions.states import Door
from tests.support.processes import until
from tests.support.ssh_gateway import OPERATOR, RunningGateway, hold, password_for


def come(gateway: RunningGateway, password: str) -> Any:
    return asyncssh.connect(
        gateway.host,
        gateway.port,
        username=OPERATOR,
        password=password,
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        config=None,
        login_timeout=60,
    )


class TestOneUsePassword:
    @pytest.mark.parametrize("door", [Door.SSH, Door.WEB])
    def test_one_of_twelve_that_come_with_it_at_one_instant_gets_in(
        self, gateway: RunningGateway, operator: Role, door: Door
    ):
        grant = hold(operator)

        async def all_at_once(password: str) -> list[Any]:
            visits = (come(gateway, password) for _ in range(12))
            came = await asyncio.gather(*visits, return_exceptions=True)
            inside = [each for each in came if isinstance(each, asyncssh.SSHClientConnection)]
            for connection in inside:
                connection.close()
            assert {type(each) for each in came if each not in inside} == {
                asyncssh.PermissionDenied
            }
            return inside

        for _ in range(3):
            assert len(asyncio.run(all_at_once(password_for(grant, door)))) == 1

    def test_of_two_sessions_at_one_instant_one_opens_and_the_next_after_it(
        self, gateway: RunningGateway, operator: Role
    ):
        password = password_for(hold(operator))

        async def work() -> None:
            async with come(gateway, password) as connection:
                both = await asyncio.gather(
                    *(connection.create_process("cat", encoding=None) for _ in range(2)),
                    return_exceptions=True,
                )
                (first,) = (each for each in both if not isinstance(each, BaseException))
                (refused,) = (each for each in both if isinstance(each, asyncssh.ChannelOpenError))
                assert "one session at a time" in refused.reason
                with pytest.raises(asyncssh.ChannelOpenError, match="one session at a time"):
                    await connection.run("true")
                first.stdin.write_eof()
                await first.wait()
                done = await connection.run("echo next")
                assert done.stdout == "next\n"

        asyncio.run(work())
        until(lambda: not AccessSession.objects.exclude(state="CLOSED").exists())
        assert AccessSession.objects.count() == 2
